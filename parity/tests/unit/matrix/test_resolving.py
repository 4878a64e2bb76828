"""A resolver's no: the requirements that collide are named, and where they are from; an index that is down is no no."""

import os
import sys

import pytest

from parity.core.failures import RESOLVER
from parity.matrix import resolving
from parity.matrix.project import Project, Required, read
from parity.records import MISSING
from parity.records.cells import Cell
from parity.tests.support import wheels as planted

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
CELL = Cell.parse(f"py{HERE.replace('.', '')}-jax1.0-tf1.0")


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    planted.write(folder)
    planted.wheel(folder, "mine", "1.0", ["ml-dtypes>=0.5"])
    planted.wheel(folder, "other", "1.0")
    monkeypatch.setenv("UV_CONFIG_FILE", str(folder / "uv.toml"))
    return folder


def required(*texts):
    return Project(requirements=tuple(Required(text, "requirements.txt") for text in texts))


def test_the_two_requirements_that_collide_are_named_with_their_files(index):
    found = resolving.refused(CELL, required("other", "mine"), HERE)
    tensorflow = f"{planted.TENSORFLOW}==1.0 (the cell {CELL.name})"
    assert found.failure == RESOLVER
    assert found.evidence.startswith(f"{tensorflow} and mine (requirements.txt) cannot be installed together: ")
    assert resolving.refused(CELL, required("other"), HERE) is None


def test_a_constraint_that_collides_is_named(index):
    limited = Project(constraints=(Required("jax<1", "constraints.txt"), Required("other<2", "constraints.txt")))
    found = resolving.refused(CELL, limited, HERE)
    assert found.evidence.startswith(f"jax==1.0 (the cell {CELL.name}) and jax<1 (constraints.txt) cannot be installed")


def test_a_wheel_for_another_python_is_named_alone(index, tmp_path):
    planted.wheel(index, "compiled", "1.0")
    made = index / "compiled-1.0-py3-none-any.whl"
    (tmp_path / "requirements.txt").write_text("./compiled-1.0-cp39-cp39-manylinux2014_x86_64.whl\nother\n")
    made.rename(tmp_path / "compiled-1.0-cp39-cp39-manylinux2014_x86_64.whl")
    found = resolving.refused(CELL, read(tmp_path), HERE)
    assert found.failure == RESOLVER
    before, _, _ = found.evidence.partition(" cannot be installed: ")
    assert before.endswith("compiled-1.0-cp39-cp39-manylinux2014_x86_64.whl (requirements.txt)")


def test_a_lock_is_kept_where_the_pair_allows_it(index, tmp_path):
    for version in ("1.0", "2.0"):
        planted.wheel(index, "kept", version)
    for locked in ({"kept": "1.0"}, {"kept": "1.0", "ml-dtypes": "0.5.1"}):
        project = Project(requirements=(Required("kept", "requirements.txt"),), locked=locked)
        folder = tmp_path / str(len(locked))
        folder.mkdir()
        arguments = resolving.write(folder, resolving.installation.required(CELL, project), (), project)
        done = resolving.processes.run([*resolving.installation.compile_command(HERE), *arguments])
        assert done.returncode == 0, done.stderr
        assert {"kept==1.0", "ml-dtypes==0.3.1"} <= set((folder / resolving.RESOLVED).read_text().split())


def test_an_index_that_is_down_says_nothing_against_the_pair(monkeypatch, tmp_path):
    monkeypatch.setenv("UV_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:secret@127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    found = resolving.refused(CELL, required("other"), HERE)
    assert (found.status, found.failure) == (MISSING, "unknown")
    assert "the index is out of reach" in found.evidence
    assert "secret" not in found.evidence


def test_a_smallest_set_is_found_wherever_it_lies():
    items = [Required(str(nth), "") for nth in range(9)]
    asked = []

    def solvable(some):
        asked.append(some)
        return not {items[2], items[7]} <= set(some)

    assert resolving.smallest(items, solvable) == [items[2], items[7]]
    assert len(asked) < 20
    assert resolving.smallest(items[:5], solvable) == []
    assert resolving.smallest([items[0]], lambda some: not some) == [items[0]]
