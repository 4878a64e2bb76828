"""The cells that archive exports, and those that verify what has been archived."""

import pytest

from parity.compat import readers
from parity.core.errors import RecordError, UsageError
from parity.export import archives
from parity.matrix.cell_run import Installed, clear, make, run_cell
from parity.matrix.child_process import python
from parity.matrix.screen import Screen
from parity.matrix.tasks import Task, bundle, tasks, up_to_date
from parity.records import (
    ARCHIVE,
    ERROR,
    EXPORT,
    FLEET,
    MISSING,
    PASS,
    SPLIT,
    cells,
)
from parity.records.cells import Cell, outcome
from parity.tests.support.bundle_files import write as write_bundle

PAIR = Cell.parse("jax0.9.2-tf2.21.0")
READER = Cell.parse("tf2.21.0-verify")
VERSIONS = {"jax": "0.9.2", "flax": "0.10.4"}


ARCHIVING = Cell.parse("jax0.9.2-archive")


@pytest.fixture
def archive(tmp_path):
    """An archive of two bundles."""
    folder = tmp_path / "archive"
    for jax in ("0.10.2", "0.9.2"):
        archives.enlist(write_bundle(archives.path_of(folder, jax)))
    return folder


def test_a_reader_leaves_a_record_for_every_archived_bundle_whether_or_not_there_are_exports(
    exported, tmp_path, archive
):
    alone = tasks(READER, tmp_path, [], archive)
    assert [(task.name, task.mode, task.stopped) for task in alone] == [
        ("archive-jax0.9.2-tf2.21.0", ARCHIVE, None),
        ("archive-jax0.10.2-tf2.21.0", ARCHIVE, None),
    ]
    assert all(cells.of_record(task.name) for task in alone)
    assert all(str(archives.path_of(archive, task.cell.jax)) in task.command for task in alone)
    assert not any("--remedied" in task.command for task in alone)
    exported("jax0.9.2-export")
    both = tasks(READER, tmp_path, [], archive)
    assert [task.mode for task in both] == [SPLIT, FLEET, ARCHIVE, ARCHIVE]
    assert len({task.request for task in both}) == 4
    assert both[2:] == alone


SPOILT = {
    "gone": (lambda path: path.unlink(), MISSING, "is listed in SHA256SUMS and is not there: restore it"),
    "another": (lambda path: write_another(path), ERROR, "is changed: its SHA-256"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-1]), ERROR, "is changed: its SHA-256"),
    "not listed": (lambda path: (path.parent / "SHA256SUMS").write_text(""), ERROR, "is not listed in SHA256SUMS"),
}


def write_another(path):
    path.unlink()
    write_bundle(path)


@pytest.mark.parametrize("how", SPOILT)
def test_an_archived_bundle_that_is_not_there_as_it_was_is_never_passed_over(tmp_path, archive, watching, how):
    spoil, status, output = SPOILT[how]
    whole = tasks(READER, tmp_path, [], archive)[0]
    spoil(archives.path_of(archive, "0.9.2"))
    [task] = [task for task in tasks(READER, tmp_path, [], archive) if task.name == whole.name]
    assert (task.stopped.status, output in task.stopped.evidence) == (status, True)
    assert task.request != whole.request
    clear(task, tmp_path, "")
    run = make(task, tmp_path, Installed(stopped=task.stopped), watching)
    assert (run.mode, outcome(run).status, cells.row(run)["jax"]) == (ARCHIVE, status, "0.9.2")


def test_a_folder_that_is_no_archive_is_refused_by_what_would_read_it_and_by_nothing_else(tmp_path):
    with pytest.raises(RecordError, match="is no archive"):
        tasks(READER, tmp_path, [], tmp_path)
    assert tasks(PAIR, tmp_path, [], tmp_path) == tasks(PAIR, tmp_path, [])


def test_a_cell_that_archives_exports_the_small_case_for_the_oldest_reader_too(tmp_path):
    [task] = tasks(ARCHIVING, tmp_path, [], tmp_path / "new")
    assert (task.name, task.mode, task.archived) == (ARCHIVING.name, EXPORT, tmp_path / "new" / "jax0.9.2.tar.xz")
    assert {str(task.archived), "--case=miniature", f"--readable-by={readers.oldest()}"} < set(task.command)
    assert up_to_date(task, tmp_path) is None
    with pytest.raises(UsageError, match="Name its folder with --archive"):
        tasks(ARCHIVING, tmp_path, [])


@pytest.mark.parametrize("fresh", [False, True])
def test_a_cell_that_archives_replaces_nothing(exported, tmp_path, archive, fresh):
    exported("jax0.9.2-export")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="archived bundles are immutable"):
        run_cell(ARCHIVING, tmp_path, [], 60.0, fresh, Screen(), archive)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_is_archived_is_listed_and_the_export_of_that_jax_stays(exported, tmp_path, watching):
    exported("jax0.9.2-export")
    elsewhere = write_bundle(tmp_path / "elsewhere" / "jax0.9.2.tar.xz")
    [items] = tasks(ARCHIVING, tmp_path, [], tmp_path / "archive")
    script = (
        "import sys; from pathlib import Path; path = Path(sys.argv[2]); path.parent.mkdir()\n"
        "path.write_bytes(Path(sys.argv[1]).read_bytes())"
    )
    task = Task(items.name, items.mode, tuple(python("-c", script, str(elsewhere), str(items.archived))), "", ARCHIVING,
                archived=items.archived)  # fmt: skip
    clear(task, tmp_path, "")
    run = make(task, tmp_path, Installed(), watching)
    assert (outcome(run).status, run.environment["bundle"]["versions"]["jax"]) == (PASS, "0.10.2")
    assert list(archives.listed(tmp_path / "archive")) == ["0.9.2"]
    assert (bundle(tmp_path, ARCHIVING) / "manifest.json").is_file()
