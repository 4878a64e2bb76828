"""The tests mirror the rooms: no test module imports another, and marks are set."""

import ast
import re

import pytest

from parity.tests.support.paths import PACKAGE

TESTS = PACKAGE / "tests"
KINDS = ("unit", "integration")
OF_THE_PROJECT = {"project"}
"""Folders of tests that are about the project and no room."""


def imports(path):
    """The modules that a module imports, in strings of code as well."""
    text = path.read_text(encoding="utf-8")
    modules = set(re.findall(r"^\s*(?:from|import) (parity\.tests[\w.]*)", text, re.MULTILINE))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("parity.tests"):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def is_test(module):
    return any(part.startswith("test_") or part in KINDS for part in module.split(".")[2:])


def test_no_module_imports_a_test_module():
    files = [path for path in TESTS.rglob("*.py") if "__pycache__" not in path.parts]
    assert len(files) > 50
    found = {(path.name, module) for path in files for module in imports(path) if is_test(module)}
    assert found == set()


@pytest.mark.parametrize(
    "statement",
    [
        "from parity.tests.unit.gate.test_gate import run",
        "from parity.tests.unit.gate import test_gate",
        "CODE = '''\nimport parity.tests.unit.gate.test_gate\n'''",
    ],
)
def test_a_planted_import_is_found(tmp_path, statement):
    (tmp_path / "test_planted.py").write_text(statement)
    assert any(map(is_test, imports(tmp_path / "test_planted.py")))


@pytest.mark.parametrize("kind", KINDS)
def test_every_folder_of_tests_is_named_after_a_room(kind):
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.parent.name for path in (TESTS / kind).rglob("test_*.py")}
    assert folders <= rooms | OF_THE_PROJECT


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_a_file_that_opens_a_browser_or_starts_a_cluster_is_marked():
    texts = {path.name: path.read_text(encoding="utf-8") for path in TESTS.glob("integration/*/test_*.py")}
    for mark, sign in (("browser", "browsing.chromium"), ("cluster", "run_on_cluster")):
        using = {name for name, text in texts.items() if sign in text}
        assert using
        assert using <= {name for name, text in texts.items() if f"mark.{mark}" in text}
