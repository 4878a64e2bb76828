"""What the inputs of a record are: whatever of them changes, it is made again."""

import shutil
from pathlib import Path

import pytest

import parity
from parity import records
from parity.compat import readers
from parity.matrix import fingerprint, installation
from parity.matrix.tasks import tasks
from parity.records.cells import LATEST, Cell
from parity.tests.support.bundle_files import write as write_bundle

PAIR = Cell.parse("jax0.9.2-tf2.21.0")
READER = Cell.parse("tf2.21.0-verify")
VERSIONS = {"jax": "0.9.2", "flax": "0.10.4"}


def test_inputs_are_the_releases_the_options_and_the_bundle(tmp_path):
    first, second = write_bundle(tmp_path / "first"), write_bundle(tmp_path / "second")
    manifest = second / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    other = Cell.parse("jax0.9.2-tf2.20.0")
    given = [(PAIR, []), (other, []), (PAIR, ["-x"]), (PAIR, [], first), (PAIR, [], second)]
    prints = [fingerprint.of_request(*arguments) for arguments in given]
    assert len(set(prints)) == len(given)
    assert prints == [fingerprint.of_request(*arguments) for arguments in given]


def test_a_case_counts_with_every_module_that_it_imports_from_its_own_folder(tmp_path):
    sources = {
        "case.py": "import numpy, helper\nfrom package.inner import thing\nfrom package import other",
        "helper.py": "def late():\n    import deep",
        "deep.py": "",
        "package/__init__.py": "from . import sibling",
        "package/inner.py": "from ..package.cousin import thing",
        "package/other.py": "",
        "package/sibling.py": "",
        "package/cousin.py": "import case",
        "unused.py": "import nothing",
        "package/unused.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = [f"--case={tmp_path / 'case.py'}:case"]
    before = fingerprint.of_request(PAIR, options)
    for name, text in sources.items():
        (tmp_path / name).write_text(f"{text}\n# changed", encoding="utf-8")
        changed = fingerprint.of_request(PAIR, options) != before
        assert changed == ("unused" not in name), name
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert fingerprint.of_request(PAIR, options) == before


def test_a_case_that_python_cannot_read_still_counts(tmp_path):
    prints = set()
    for text in ("def case(", "def case(:", f"from {'.' * 99} import case"):
        (tmp_path / "case.py").write_text(text, encoding="utf-8")
        prints.add(fingerprint.of_request(PAIR, [f"--case={tmp_path / 'case.py'}:case"]))
    assert len(prints) == 3


def test_only_the_code_that_makes_a_record_counts(tmp_path, monkeypatch):
    package = tmp_path / "parity"
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(Path(parity.__file__).parent, package, ignore=ignored)
    monkeypatch.setattr(parity, "__file__", str(package / "__init__.py"))
    before = fingerprint.of_request(PAIR, [])
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert set(fingerprint.ROOMS) <= rooms
    for room in sorted(rooms):
        added = package / room / "added.py"
        added.write_text("", encoding="utf-8")
        assert (fingerprint.of_request(PAIR, []) != before) == (room in fingerprint.ROOMS), room
        added.unlink()
    assert {"studies", "report", "gate", "upgrade", "matrix", "cli"}.isdisjoint(fingerprint.ROOMS)


@pytest.mark.parametrize("package", fingerprint.VERSIONED)
def test_an_installed_version_counts(package):
    request = fingerprint.of_request(PAIR, [])
    versions = dict.fromkeys(fingerprint.VERSIONED, "1.0")
    assert fingerprint.with_versions(request, versions) != request == fingerprint.with_versions(request, {})
    assert fingerprint.with_versions(request, {**versions, package: "1.1"}) != fingerprint.with_versions(
        request, versions
    )


def test_inputs_are_the_limits_of_this_reader_and_of_no_other(monkeypatch):
    before = fingerprint.of_request(PAIR, [])
    limits = readers.table()
    monkeypatch.setitem(limits, "2.17.1", readers.Limits("9.9.9", 99))
    assert fingerprint.of_request(PAIR, []) == before
    monkeypatch.setitem(limits, "2.21.0", readers.Limits("9.9.9", 99))
    assert fingerprint.of_request(PAIR, []) != before


def test_the_newest_releases_are_looked_for_once_a_day(tmp_path, monkeypatch):
    latest = Cell.parse(LATEST)
    monkeypatch.setattr(records, "now", lambda: "2026-01-02T03:04:05.678Z")
    today = tasks(latest, tmp_path, [])
    monkeypatch.setattr(records, "now", lambda: "2026-01-02T23:59:59.999Z")
    assert tasks(latest, tmp_path, []) == today
    monkeypatch.setattr(records, "now", lambda: "2026-01-03T00:00:00.000Z")
    assert tasks(latest, tmp_path, []) != today
    assert "--upgrade" in installation.install_command(latest)
    assert "--upgrade" not in installation.install_command(PAIR)
