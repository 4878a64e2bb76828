"""What a cell is to leave, from what is there already; and how one record is made, kept and made again."""

import shutil
import sys
from pathlib import Path

import pytest

import parity
from parity import records
from parity.compat import readers
from parity.core import failures
from parity.core.errors import RecordError, UsageError
from parity.export import archives
from parity.matrix import fingerprint, installation, tox
from parity.matrix.cell_run import Installed, clear, make, run_cell
from parity.matrix.child_process import INTERRUPTED, python, watch
from parity.matrix.screen import Screen
from parity.matrix.tasks import Task, bundle, exports, tasks, up_to_date
from parity.records import (
    ARCHIVE,
    CRASH,
    ERROR,
    EXPORT,
    FAIL,
    FLEET,
    JOINT,
    MISSING,
    PASS,
    SPLIT,
    TIMEOUT,
    Stopped,
    cells,
)
from parity.records.cells import LATEST, Cell, outcome
from parity.tests.support import samples
from parity.tests.support.bundle_files import write as write_bundle

PAIR = Cell.parse("jax0.9.2-tf2.21.0")
READER = Cell.parse("tf2.21.0-verify")
VERSIONS = {"jax": "0.9.2", "flax": "0.10.4"}


@pytest.fixture
def exported(tmp_path):
    """Leaves the record of an export, and its bundle."""

    def leave(name, bundled=True, **changes):
        records.seal(tmp_path / name, samples.run(cell=name, mode=EXPORT, **changes))
        path = bundle(tmp_path, Cell.parse(name))
        if bundled and not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_bundle(path)

    return leave


# What a cell is to leave


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


# What has been archived

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


# What inputs are


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


# How a record is made

PASSES = """
import sys
from pathlib import Path
from parity.records import Recorder
from parity.tests.support import samples
recorder = Recorder(Path(sys.argv[1]), samples.run(cell="planted"))
recorder.add(samples.planned())
recorder.add(samples.check())
recorder.seal("complete", {"importing": 2.0})
"""


@pytest.fixture
def watching():
    return lambda command, log: watch(command, log, 60.0, lambda text: None, lambda: False)


@pytest.fixture
def made(tmp_path, watching):
    """Makes a record by a script, after what is asked for and what stopped it."""

    def of(script, stopped=None, inputs="these"):
        command = tuple(python("-c", script, str(tmp_path / PAIR.name)))
        task = Task(PAIR.name, JOINT, command, inputs, PAIR)
        clear(task, tmp_path, "installed\n")
        return make(task, tmp_path, Installed(stopped, seconds=1.5, versions=VERSIONS), watching), task

    return of


def test_a_record_says_what_it_is_made_from_and_what_it_took(made, tmp_path):
    run, task = made(f"{PASSES}\nprint('done')")
    assert records.read(tmp_path / PAIR.name / "run.json") == run
    assert (run.mode, outcome(run).status) == (JOINT, PASS)
    assert run.inputs == fingerprint.with_versions("these", VERSIONS)
    assert run.environment["cell"] == {"jax": "0.9.2", "tensorflow": "2.21.0", "python": None, "installed": VERSIONS}
    assert run.spent_s == {"environment": 1.5, "importing": 2.0}
    assert (tmp_path / PAIR.name / "log.txt").read_text(encoding="utf-8") == "installed\ndone\n"
    assert (tmp_path / PAIR.name / "index.html").is_file()
    assert up_to_date(task, tmp_path) == run


def test_a_run_without_a_record_began_before_it_ended(made):
    run, _ = made("import time; time.sleep(0.1); raise SystemExit(3)")
    assert run.started_at < run.ended_at
    assert run.spent_s["the process"] > 0.1
    assert outcome(run).failure == failures.UNKNOWN


def test_what_was_stopped_before_is_not_run_and_nothing_of_an_earlier_run_stays(made, tmp_path):
    made(PASSES)
    run, task = made("raise SystemExit('it was run')", stopped=INTERRUPTED)
    assert (run.checks, run.stopped) == ([], INTERRUPTED)
    assert (tmp_path / PAIR.name / "log.txt").read_text(encoding="utf-8") == "installed\n"
    assert up_to_date(task, tmp_path) is None


@pytest.mark.parametrize(
    ("stopped", "kept"),
    [
        (Stopped(CRASH, failures.CRASH, "ended by SIGABRT"), False),
        (Stopped(CRASH, failures.CRASH, "killed (SIGKILL), as when memory runs out"), False),
        (Stopped(TIMEOUT, failures.TIMEOUT, "no end after 4 s"), False),
        (Stopped(ERROR, failures.IMPORT, "libplanted.so.1"), False),
        (Stopped(ERROR, failures.RESOLVER, "no set"), True),
        (INTERRUPTED, False),
    ],
    ids=["crash", "killed", "timeout", "import", "resolver", "interrupted"],
)
def test_of_runs_that_were_stopped_only_a_resolvers_answer_is_kept(made, tmp_path, stopped, kept):
    run, task = made("", stopped=stopped)
    assert up_to_date(task, tmp_path, VERSIONS) == (run if kept else None)


@pytest.mark.parametrize("status", [CRASH, TIMEOUT, MISSING, FAIL, ERROR])
def test_a_whole_run_is_kept_unless_a_check_of_it_crashed_timed_out_or_is_missing(made, tmp_path, status):
    run, task = made(PASSES.replace("samples.check()", f"samples.check(status={status!r})"))
    assert run.state == records.COMPLETE
    assert up_to_date(task, tmp_path) == (run if status in (FAIL, ERROR) else None)


@pytest.mark.parametrize("status", [CRASH, TIMEOUT])
def test_a_whole_run_with_failures_is_made_again_where_one_check_was_lost(made, tmp_path, status):
    _, task = made(PASSES.replace("samples.check()", "samples.check(status='fail')"))
    assert up_to_date(task, tmp_path) is not None
    one_more = f"recorder.add(samples.check(leaf='x', status={status!r}))\nrecorder.seal"
    _, task = made(PASSES.replace("samples.check()", "samples.check(status='fail')").replace("recorder.seal", one_more))
    assert up_to_date(task, tmp_path) is None


@pytest.mark.parametrize("state", [records.INTERRUPTED, records.ABORTED])
def test_a_run_that_was_interrupted_or_aborted_is_made_again(made, tmp_path, state):
    run, task = made(PASSES.replace('"complete"', repr(state)))
    assert (run.state, up_to_date(task, tmp_path)) == (state, None)


@pytest.mark.parametrize("end", ["import os; os._exit(9)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_run_that_was_ended_before_its_seal_is_made_again(made, tmp_path, end):
    _, task = made(PASSES.replace('recorder.seal("complete", {"importing": 2.0})', end))
    assert up_to_date(task, tmp_path) is None


@pytest.mark.parametrize("limited", [{"time_limit_s": 1.0}, {"silence_s": 1.0}], ids=["time-limit", "silence"])
def test_a_run_that_is_ended_after_a_limit_is_made_again(made, tmp_path, monkeypatch, watching, limited):
    limits = {"time_limit_s": None, "silence_s": 60.0, **limited}
    command = tuple(python("-c", PASSES.replace("recorder.seal", "import time; time.sleep(600)\nrecorder.seal"),
                           str(tmp_path / PAIR.name)))  # fmt: skip
    task = Task(PAIR.name, JOINT, command, "these", PAIR)
    clear(task, tmp_path, "")

    def watched(command, log):
        return watch(command, log, show=lambda text: None, interrupted=lambda: False, **limits)

    run = make(task, tmp_path, Installed(versions=VERSIONS), watched)
    assert (outcome(run).status, up_to_date(task, tmp_path)) == (TIMEOUT, None)


def test_a_record_under_other_installed_versions_is_made_again(made, tmp_path):
    run, task = made(PASSES)
    assert up_to_date(task, tmp_path, VERSIONS) == up_to_date(task, tmp_path) == run
    assert up_to_date(task, tmp_path, {**VERSIONS, "flax": "0.10.5"}) is None
    assert up_to_date(task, tmp_path, {**VERSIONS, "protobuf": "5"}) == run  # which moves no result


def test_a_record_of_other_inputs_or_an_unsealed_or_damaged_one_is_made_again(made, tmp_path):
    _, task = made(PASSES)
    _, other = made(PASSES, inputs="those")
    assert up_to_date(other, tmp_path) is not None
    assert up_to_date(task, tmp_path) is None
    path = tmp_path / PAIR.name / "run.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    assert up_to_date(other, tmp_path) is None
    path.unlink()
    assert up_to_date(other, tmp_path) is None


def test_an_export_is_up_to_date_only_while_its_bundle_exists(made, exported, tmp_path):
    writer = Cell.parse("jax0.9.2-export")
    exported(writer.name, inputs="these")
    task = Task(writer.name, EXPORT, (), "these", writer)
    assert up_to_date(task, tmp_path) is not None
    (bundle(tmp_path, writer) / "manifest.json").unlink()
    assert up_to_date(task, tmp_path) is None


def test_an_export_is_complete_when_its_process_ends_well(tmp_path, watching):
    writer = Cell.parse("jax0.9.2-export")
    path, elsewhere = bundle(tmp_path, writer), write_bundle(tmp_path / "elsewhere")
    script = f"import shutil; shutil.copytree({str(elsewhere)!r}, {str(path)!r})"
    task = Task(writer.name, EXPORT, tuple(python("-c", script)), "these", writer)
    for _ in range(2):  # a bundle is not written over
        clear(task, tmp_path, "")
        run = make(task, tmp_path, Installed(), watching)
        assert (run.state, outcome(run).status) == (records.COMPLETE, PASS)
    assert set(run.environment["bundle"]) == {"versions", "writer"}


# Which cells there are

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
