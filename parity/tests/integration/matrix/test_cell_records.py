"""How the record of a cell is made, kept, and made again."""

import pytest

from parity import records
from parity.core import failures
from parity.matrix import fingerprint
from parity.matrix.cell_run import Installed, clear, make
from parity.matrix.child_process import INTERRUPTED, python, watch
from parity.matrix.tasks import Task, bundle, up_to_date
from parity.records import (
    CRASH,
    ERROR,
    EXPORT,
    FAIL,
    JOINT,
    MISSING,
    PASS,
    TIMEOUT,
    Stopped,
)
from parity.records.cells import Cell, outcome
from parity.report.panels import verdict
from parity.tests.support.bundle_files import write as write_bundle

PAIR = Cell.parse("jax0.9.2-tf2.21.0")
READER = Cell.parse("tf2.21.0-verify")
VERSIONS = {"jax": "0.9.2", "flax": "0.10.4"}


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


def test_a_panel_that_fails_is_said_and_leaves_record_and_page(tmp_path, watching, monkeypatch):
    monkeypatch.setattr(verdict, "view", lambda cell: 1 / 0)
    task = Task(PAIR.name, JOINT, python("-c", PASSES, str(tmp_path / PAIR.name)), "these", PAIR)
    clear(task, tmp_path, "installed\n")
    said = []
    run = make(task, tmp_path, Installed(versions=VERSIONS), watching, say=said.append)
    assert outcome(run).status == PASS
    assert len(said) == 1
    assert "ZeroDivisionError" in said[0]
    assert (tmp_path / PAIR.name / "index.html").is_file()
    assert records.read(tmp_path / PAIR.name / "run.json") == run


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
