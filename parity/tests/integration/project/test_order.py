"""Unit tests run first, and none of them imports a framework."""

import os

import pytest

from parity.tests.support import samples
from parity.tests.support.paths import PACKAGE, ROOT

TESTS = PACKAGE / "tests"
PLANTED = "def test_sound():\n    import math\n\n\ndef test_unsound():\n    import {}\n"


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_a_unit_test_that_imports_a_framework_fails(tmp_path, framework):
    (tmp_path / f"{framework}.py").touch()
    unit = tmp_path / "unit"
    unit.mkdir()
    (unit / "conftest.py").write_bytes((TESTS / "unit" / "conftest.py").read_bytes())
    (unit / "test_one.py").write_text(PLANTED.format(framework))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ["-rE", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={unit}"]
    done = samples.python("-m", "pytest", *options, unit, env=environment)
    assert done.returncode == 1, done.stdout
    assert f"{framework} imported by a unit test" in done.stdout
    assert "2 passed, 1 error" in done.stdout


def test_unit_tests_run_first_and_slow_files_before_others():
    command = ["-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    fast, slow = "integration/project/test_workflow.py", "integration/matrix/test_tox.py"
    files = [TESTS / fast, TESTS / slow, TESTS / "unit" / "core" / "test_ledger.py"]
    done = samples.python(*command, *files, cwd=ROOT)
    order = [line.partition("::")[0].partition("tests/")[2] for line in done.stdout.splitlines() if "::" in line]
    assert list(dict.fromkeys(order)) == ["unit/core/test_ledger.py", slow, fast]
