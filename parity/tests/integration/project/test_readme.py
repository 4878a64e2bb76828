"""The model of the README passes, with the command that the README gives."""

import os
import shlex
import subprocess
import sys

from parity import records
from parity.tests.support.documents import README, Document
from parity.tests.support.paths import ROOT

SELECTION = ("--level=quick",)
"""What is left out has tests of its own."""


def test_the_model_of_the_readme_passes(tmp_path):
    [model] = Document(README).blocks("python")
    [command] = [
        line for block in Document(README).blocks("sh") for line in block.text.splitlines() if "model.py:" in line
    ]
    (tmp_path / "model.py").write_text(model.text, encoding="utf-8")
    words = [sys.executable, "-m", *shlex.split(command), *SELECTION]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = records.read(tmp_path / "reports" / "mine")
    assert run.in_order()
    probes = {check.probe for check in run.checks if check.runtime == "saved_model"}
    assert probes >= {"predict", "eval_loss", "eval_gradient"}
