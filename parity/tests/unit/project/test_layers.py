"""The layers that pyproject.toml states hold, and a breach of each is found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import parity

PACKAGE = Path(parity.__file__).parent
ROOT = PACKAGE.parent
BREACHES = {
    "compare.py": ("import jax", "numeric: numpy, and no framework"),
    "failures.py": ("import numpy", "plain: no numpy, no framework"),
    "cli.py": ("import rich", "plain: no numpy, no framework"),
    "training.py": ("import tensorflow", "JAX's side does not know TensorFlow"),
    "artifact.py": ("import jax", "TensorFlow's side does not know JAX"),
    "specs.py": ("from parity import harness", "data flows one way"),
}


def lint(folder):
    program = Path(sys.executable).with_name("lint-imports")
    assert program.is_file(), f"{program} is not there; install import-linter: pip install --group dev"
    command = [str(program), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path):
    """The package and the contracts in a folder of their own."""
    project = ROOT / "pyproject.toml"
    assert project.is_file(), f"{project} is not there; this test runs from a checkout, which states the contracts"
    shutil.copy(project, tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "parity", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def broken(done):
    return {name for name, status, _ in (line.partition(" BROKEN") for line in done.stdout.splitlines()) if status}


def test_the_layers_hold(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
    assert str(ROOT) not in done.stdout


@pytest.mark.parametrize("file", BREACHES)
def test_a_breach_is_found_and_named(copy, file):
    statement, contract = BREACHES[file]
    path = copy / "parity" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{statement}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert contract in broken(done)
    module = statement.split()[-1]
    assert f"parity.{path.stem} -> {'parity.' if statement.startswith('from') else ''}{module}" in done.stdout


def test_every_contract_has_a_breach():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = text.partition("[tool.importlinter]")[2].count("[[tool.importlinter.contracts]]")
    assert len({contract for _, contract in BREACHES.values()}) == contracts
