"""What a cell is to leave, from what is there already; and which cells there are."""

import sys

import pytest

from parity.compat import readers
from parity.core.errors import UsageError
from parity.matrix import tox
from parity.matrix.cell_run import clear
from parity.matrix.child_process import INTERRUPTED
from parity.matrix.tasks import exports, tasks
from parity.records import (
    CRASH,
    ERROR,
    EXPORT,
    FLEET,
    JOINT,
    MISSING,
    SPLIT,
    Stopped,
    cells,
)
from parity.records.cells import Cell
from parity.tests.support import samples

PAIR = Cell.parse("jax0.9.2-tf2.21.0")
READER = Cell.parse("tf2.21.0-verify")
VERSIONS = {"jax": "0.9.2", "flax": "0.10.4"}


def test_a_pair_leaves_one_record_of_the_standard_level_or_of_what_is_asked_for(tmp_path):
    [task] = tasks(PAIR, tmp_path, [])
    assert (task.name, task.mode, task.stopped) == (PAIR.name, JOINT, None)
    assert task.command[-1] == "--capture=sys"
    [other] = tasks(PAIR, tmp_path, ["--batch-size", "20", "-k", "predict"])
    assert list(other.command[-4:]) == ["--batch-size", "20", "-k", "predict"]
    assert other.request != task.request


def test_an_export_is_written_for_the_oldest_reader(tmp_path):
    [task] = tasks(Cell.parse("jax0.9.2-export"), tmp_path, [])
    assert (task.name, task.mode) == ("jax0.9.2-export", EXPORT)
    assert f"--readable-by={readers.oldest()}" in task.command
    assert str(tmp_path / "bundles" / "jax0.9.2") in task.command


def test_a_reader_leaves_a_record_for_every_export_and_one_for_the_newest_to_the_whole_fleet(exported, tmp_path):
    for name in ("py312-jax0.10.2-export", "py311-jax0.9.2-export", "py310-jax0.4.30-export"):
        exported(name)
    found = tasks(READER, tmp_path, [])
    assert [(task.name, task.mode) for task in found] == [
        ("split-jax0.4.30-tf2.21.0", SPLIT),
        ("split-jax0.9.2-tf2.21.0", SPLIT),
        ("split-jax0.10.2-tf2.21.0", SPLIT),
        ("fleet-jax0.10.2-tf2.21.0", FLEET),
    ]
    assert [("--remedied" in task.command) for task in found] == [False, False, False, True]
    assert all(cells.of_record(task.name) for task in found)
    assert len({task.request for task in found}) == 4


@pytest.mark.parametrize(
    ("changes", "stopped"),
    [
        ({"stopped": Stopped(CRASH, "crash", "SIGABRT")}, Stopped(ERROR, "crash", "the export failed: SIGABRT")),
        ({"stopped": Stopped(ERROR, "resolver", "no set")}, Stopped(ERROR, "resolver", "the export failed: no set")),
        ({"stopped": INTERRUPTED}, Stopped(MISSING, "", "the export failed: interrupted")),
        ({"bundled": False}, Stopped(MISSING, "", "its bundle is gone: run py311-jax0.9.2-export before")),
    ],
    ids=["crashed", "resolver", "interrupted", "bundle-gone"],
)
def test_what_was_not_exported_cannot_be_verified_and_says_why(exported, tmp_path, changes, stopped):
    exported("py311-jax0.9.2-export", **changes)
    assert [task.stopped for task in tasks(READER, tmp_path, [])] == [stopped, stopped]


@pytest.mark.parametrize("left", ["run.json", "log.txt"])
def test_an_export_with_a_damaged_record_or_none_is_missing(tmp_path, left):
    (tmp_path / "py311-jax0.9.2-export").mkdir()
    (tmp_path / "py311-jax0.9.2-export" / left).write_text("{", encoding="utf-8")
    [(_, stopped)] = exports(tmp_path)
    assert stopped == Stopped(MISSING, "", "the export left no record: run py311-jax0.9.2-export before")


def test_of_two_exports_by_one_jax_the_one_that_did_not_fail_counts(exported, tmp_path):
    exported("py310-jax0.6.2-export", stopped=INTERRUPTED)
    exported("py311-jax0.6.2-export")
    exported("py312-jax0.6.2-export", stopped=INTERRUPTED)
    assert exports(tmp_path) == [(Cell.parse("py311-jax0.6.2-export"), None)]


def test_what_is_no_export_is_left_alone(tmp_path):
    for name in ("mine-export", "py311-mine-export", "bundles", "local"):
        (tmp_path / name).mkdir()
    assert exports(tmp_path) == []


def test_a_reader_where_nothing_was_exported_is_missing_and_says_what_to_run(tmp_path):
    [task] = tasks(READER, tmp_path, [])
    assert (task.name, task.mode, task.stopped.status) == (READER.name, SPLIT, MISSING)
    assert "py311-jax0.9.2-export" in task.stopped.evidence


def test_that_record_is_gone_once_something_is_exported(exported, tmp_path):
    clear(tasks(READER, tmp_path, [])[0], tmp_path, "")
    assert (tmp_path / READER.name).is_dir()
    exported("jax0.9.2-export")
    for task in tasks(READER, tmp_path, []):
        clear(task, tmp_path, "")
    assert not (tmp_path / READER.name).exists()


TOX = """
[tox]
env_list = py311-jax0.7.2-tf2.19.1, summary
[testenv:py310-jax{0.4.30,0.6.2}-{export,tf2.16.2}]
labels = few
[testenv:table]
labels = few, none
"""


def test_the_cells_of_a_label_are_those_that_tox_lists(tmp_path):
    (tmp_path / "tox.ini").write_text(TOX, encoding="utf-8")
    assert tox.declared(tmp_path, tox.DEFAULT) == ["py311-jax0.7.2-tf2.19.1"]
    listed = ["py310-jax0.4.30-export", "py310-jax0.4.30-tf2.16.2", "py310-jax0.6.2-export", "py310-jax0.6.2-tf2.16.2"]
    assert tox.declared(tmp_path, "few") == listed
    for label in ("none", "nosuch"):
        with pytest.raises(UsageError, match=f"no cells under '{label}'.*Expected a label"):
            tox.declared(tmp_path, label)


def test_a_cell_has_no_record_where_its_python_is_not_there():
    here = f"{sys.version_info.major}{sys.version_info.minor}"
    assert tox.why_absent("py399-jax0.9.2-export") == "no Python 3.99 here"
    assert tox.why_absent(f"py{here}-jax0.9.2-export") == tox.why_absent("latest") == ""


def test_the_command_for_a_run_takes_parity_from_where_it_is_installed(tmp_path):
    (tmp_path / "parity.py").write_text("raise SystemExit('this is not parity')", encoding="utf-8")
    [task] = tasks(PAIR, tmp_path, [])
    ended = samples.python(*task.command[1 : task.command.index("run")], "--version", cwd=tmp_path)
    assert ended.stdout.startswith("parity 0")
