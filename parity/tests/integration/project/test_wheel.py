"""The wheel: what users install is complete, has no tests, and says what is missing where no framework is there."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from parity.matrix import installation
from parity.tests.support.paths import ROOT

REQUIRED = ("numpy", "msgspec", "packaging", "tomli")
"""What the base install requires, by import name."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_has_every_file_of_the_package_but_the_tests(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    command = ["git", "ls-files", "--", "parity"]
    tracked = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())
    tracked = {name for name in tracked if (ROOT / name).is_file() and not name.startswith("parity/tests/")}
    assert tracked <= names
    assert not [name for name in names if name.startswith("parity/tests/")]
    published = {name for name in names if name.startswith("parity/published/")}
    assert {Path(name).name for name in published} >= {"false-alarms.json", "faults.json", "run.json"}
    for needed in ("records/run.schema.json", "compat/readers.toml", "compat/known_issues.toml", "gate/policy.toml"):
        assert f"parity/{needed}" in names
    assert any(name.endswith(".html.j2") for name in names)


def test_the_doctor_says_from_the_wheel_alone_what_is_missing(wheel, tmp_path):
    folder = tmp_path / "venv"
    subprocess.run([installation.uv(), "venv", "-q", "-p", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    install = [installation.uv(), "pip", "install", "-q", "--offline", "--no-deps", "--python", python, wheel]
    subprocess.run(install, check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in REQUIRED:
        spec = importlib.util.find_spec(name)
        for source in {Path(spec.origin).parent, Path(spec.origin).parent.with_suffix(".libs")} if spec else ():
            if source.is_dir():
                (packages / source.name).symlink_to(source)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [folder / "bin" / "parity", "doctor"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    absent = {line.split()[0] for line in done.stdout.splitlines() if line.endswith("not installed")}
    assert absent >= {"jax", "flax", "optax", "tensorflow"}
    assert done.stderr.startswith("parity: JAX gave no answer: jax is not installed; TensorFlow gave no answer: ")
    assert "Traceback" not in done.stdout + done.stderr
