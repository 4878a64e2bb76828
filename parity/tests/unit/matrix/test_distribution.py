"""A wheel made again of the files that an installer has written."""

import hashlib
import zipfile
from importlib import metadata

import pytest

from parity.core.errors import UsageError
from parity.matrix import distribution
from parity.tests.support import wheels as planted


@pytest.fixture
def installed(tmp_path):
    """A distribution as an installer leaves it."""
    planted.wheel(tmp_path, "mine-own", "1.0", ["numpy"], {"mine/a.py": "a = 1", "mine/data.json": "{}"})
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / "mine_own-1.0-py3-none-any.whl") as opened:
        opened.extractall(site)
        names = opened.namelist()
    added = ["mine_own-1.0.dist-info/INSTALLER", "mine_own-1.0.dist-info/direct_url.json", "mine/__pycache__/a.pyc"]
    for name in (*added, "../bin/mine"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("added")
    record = site / "mine_own-1.0.dist-info" / "RECORD"
    record.write_text("".join(f"{name},,\n" for name in [*names, *added, "../bin/mine"]))
    return metadata.Distribution.at(record.parent)


def test_it_has_the_files_of_the_distribution_and_a_record_of_them(installed, tmp_path):
    path = distribution.wheel(installed, tmp_path / "wheels")
    assert path.name == "mine_own-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    info = "mine_own-1.0.dist-info"
    assert set(contents) == {"mine/a.py", "mine/data.json", *(f"{info}/{n}" for n in ("METADATA", "WHEEL", "RECORD"))}
    lines = [line.split(",") for line in contents[f"{info}/RECORD"].decode().splitlines()]
    assert {name for name, _, _ in lines} == set(contents)
    assert {name: int(size) for name, _, size in lines if size} == {
        name: len(content) for name, content in contents.items() if not name.endswith("RECORD")
    }
    assert all(len(digest) == len("sha256=") + 43 for _, digest, _ in lines if digest)


def test_its_place_follows_from_its_content(installed, tmp_path):
    first = distribution.wheel(installed, tmp_path / "wheels")
    digest = hashlib.sha256(first.read_bytes()).digest()
    assert distribution.wheel(installed, tmp_path / "wheels") == first
    assert hashlib.sha256(distribution.wheel(installed, tmp_path / "again").read_bytes()).digest() == digest
    (tmp_path / "site" / "mine" / "a.py").write_text("a = 2")
    assert distribution.wheel(installed, tmp_path / "wheels") != first


def test_a_file_that_is_gone_is_named(installed, tmp_path):
    (tmp_path / "site" / "mine" / "a.py").unlink()
    with pytest.raises(UsageError, match=r"mine/a\.py"):
        distribution.wheel(installed, tmp_path / "wheels")


def test_a_distribution_without_a_list_of_files_is_refused(installed, tmp_path):
    (tmp_path / "site" / "mine_own-1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(UsageError, match="are not listed"):
        distribution.wheel(installed, tmp_path / "wheels")


def test_from_a_source_folder_that_folder_is_installed(tmp_path):
    found = distribution.requirement(tmp_path)
    assert found.startswith("parity[report,test,cell] @ file://")
    assert not list(tmp_path.iterdir())
