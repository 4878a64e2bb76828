"""A record does not depend on the libraries of a page: without them it is written, with a line on what to install."""

import os
import subprocess
import sys

import pytest

from parity import records, report
from parity.core.errors import UsageError
from parity.report import NEEDED
from parity.tests.support import samples, tiny

BLOCK = f"import sys\nsys.modules.update(dict.fromkeys({NEEDED!r}))\n"
"""Run at the start of a process: an import of these modules fails as if they were not installed."""


@pytest.fixture
def blocked(tmp_path):
    """Return the environment of a process in which the libraries of a page cannot be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_run_writes_its_record_and_says_what_to_install(tmp_path, blocked):
    options = ["--case", f"{tiny.__file__}:tiny", "--runtime", "tf_graph", "--probe", "predict", "--batch-size", "1"]
    command = [sys.executable, "-m", "parity", "run", "--out", str(tmp_path / "out"), *options, "-k", "predict"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=blocked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert records.read(tmp_path / "out").in_order()
    assert not (tmp_path / "out" / "index.html").exists()
    [line] = [line for line in done.stdout.splitlines() if line.startswith("No report was written")]
    assert "pip install 'parity[report]'" in line
    assert all(name in line for name in NEEDED)


def test_show_and_the_markdown_need_none_of_them_and_the_page_names_them(tmp_path, blocked):
    path = tmp_path / "run.json"
    path.write_text(records.dumps(samples.run(checks=[samples.check(score=1.0)])), encoding="utf-8")
    for arguments in (("show", path), ("report", path, "--summary")):
        done = samples.python("-m", "parity", *arguments, env=blocked)
        assert (done.returncode, done.stderr) == (0, "")
    refused = samples.python("-m", "parity", "report", path, env=blocked)
    assert refused.returncode == UsageError("").exit_code == 2
    assert all(name in refused.stderr for name in NEEDED)


def test_with_them_the_line_says_where_the_page_is(tmp_path):
    path = tmp_path / "index.html"
    assert report.write_if_installed([samples.run()], path) == f"Report: {path}"
    assert path.is_file()
    assert not set(NEEDED) - set(sys.modules) - {"itables"}, "itables is read and not imported"
