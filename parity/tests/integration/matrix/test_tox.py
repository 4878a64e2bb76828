"""Cells as tox environments on this machine: what is recorded whatever happens, and how they end."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from parity import records
from parity.core import failures, silence
from parity.matrix import orphan_guard, tox
from parity.matrix.tasks import tasks
from parity.records import MISSING, Stopped
from parity.records.cells import Cell
from parity.tests.support import hanging, samples
from parity.tests.support.small_matrix import BROKEN, EXPORT, NO_PYTHON, PAIRS, VERIFY, Project, ends, started

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def run(project, *names, jobs=2, **options):
    lines = []
    tox.run_cells(project.folder, list(names), [], jobs, lines.append, **options)
    return lines


RUN = """
import sys
from pathlib import Path
from parity.matrix import tox
try:
    tox.run_cells(Path.cwd(), sys.argv[1:], [], 1, print)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_cells_are_listed_by_what_they_do():
    assert tox.by_role([VERIFY, *PAIRS, EXPORT, "py311-jax1.0-archive"]) == {
        "exports": [EXPORT, "py311-jax1.0-archive"], "pairs": list(PAIRS), "verifications": [VERIFY],
    }  # fmt: skip


def test_every_cell_leaves_a_sealed_record_and_verifications_find_the_exports(project):
    assert sorted(run(project, PAIRS[0], EXPORT)) == sorted([f"{PAIRS[0]}: pass", f"{EXPORT}: pass"])
    assert run(project, VERIFY) == ["split-jax1.0-tf2.1: pass", "fleet-jax1.0-tf2.1: pass"]
    assert project.outcomes() == dict.fromkeys([PAIRS[0], EXPORT, "split-jax1.0-tf2.1", "fleet-jax1.0-tf2.1"], "pass")


def test_cells_run_at_a_time_as_many_as_were_asked_for(project):
    for name in PAIRS[:2]:
        project.hold(name)
    with ThreadPoolExecutor(1) as pool:
        lines = pool.submit(run, project, *PAIRS, jobs=2)
        for name in PAIRS[:2]:
            project.begun(name)
        assert project.runs(PAIRS[2]) == 0
        for name in PAIRS[:2]:
            project.release(name)
        assert lines.result(timeout=60) == [f"{name}: pass" for name in PAIRS]


def test_a_cell_that_tox_cannot_start_is_recorded_as_missing_with_the_reason(project):
    run(project, NO_PYTHON, BROKEN, PAIRS[0])
    assert project.outcomes() == {NO_PYTHON: MISSING, BROKEN: MISSING, PAIRS[0]: "pass"}
    assert records.read(project.reports / NO_PYTHON).stopped.evidence == "no Python 3.99 here"
    assert records.read(project.reports / BROKEN).stopped.evidence == "parity: no such luck"


def test_a_silent_tox_is_ended_by_its_guard(monkeypatch):
    monkeypatch.setattr(orphan_guard, "_input_closed", lambda: False)
    monkeypatch.setenv(silence.VARIABLE, "0.4")
    assert orphan_guard.main(["sleep", "600"]) == orphan_guard.SILENT
    assert orphan_guard.main([sys.executable, "-c", hanging.COMPUTES]) == 0


def test_cells_that_a_silent_tox_did_not_start_are_recorded_as_missing_with_the_reason(project, monkeypatch):
    monkeypatch.setattr(tox, "_guarded", lambda *arguments: orphan_guard.SILENT)
    run(project, PAIRS[0])
    stopped = records.read(project.reports / PAIRS[0]).stopped
    assert (stopped.status, stopped.failure) == (MISSING, failures.TIMEOUT)
    assert "tox made no progress" in stopped.evidence


def test_an_environment_that_cannot_be_made_is_recorded_with_the_reason(project):
    with (project.folder / "tox.ini").open("a") as settings:
        settings.write("deps = ./no-such-package\n")
    run(project, BROKEN)
    assert "no-such-package" in records.read(project.reports / BROKEN).stopped.evidence


def test_a_record_from_before_stays_where_tox_cannot_start(project):
    records.seal(project.reports / BROKEN, samples.run(cell=BROKEN, checks=[samples.check()]))
    [line] = run(project, BROKEN)
    assert line == f"{BROKEN}: as it was, not run now: parity: no such luck"
    assert project.outcomes() == {BROKEN: "pass"}


def test_what_was_seen_before_a_cell_was_cut_off_is_sealed(project):
    recorder = records.Recorder(project.reports / PAIRS[0], samples.run(cell=PAIRS[0]))
    recorder.add(samples.check())
    [task] = tasks(Cell.parse(PAIRS[0]), project.reports, [])
    tox.seal_stopped(task, project.reports, Stopped(MISSING, "", "cut off"))
    found = records.read(project.reports / PAIRS[0] / "run.json")
    assert (found.stopped.evidence, len(found.checks)) == ("cut off", 1)
    assert not (project.reports / PAIRS[0] / "run.jsonl").exists()


def test_an_interrupt_is_passed_on_and_no_further_cell_begins(project):
    project.hold(PAIRS[0])
    matrix = started(project, "-c", RUN, PAIRS[0], PAIRS[1])
    _, cell = project.begun(PAIRS[0])
    matrix.send_signal(signal.SIGINT)
    matrix.communicate(timeout=60)
    assert matrix.returncode == 130
    assert ends(cell, 0)
    assert project.runs(PAIRS[1]) == 0


def test_cells_heed_an_interrupt_also_where_they_were_started_in_the_background(project):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts with &
    try:
        project.hold(PAIRS[0])
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            lines = pool.submit(run, project, PAIRS[0], cancelled=stop.is_set)
            _, cell = project.begun(PAIRS[0])
            stop.set()
            assert ends(cell, orphan_guard.PATIENCE_S / 2)
            assert lines.result() == [f"{PAIRS[0]}: missing, interrupted"]
    finally:
        signal.signal(signal.SIGINT, before)
    found = records.read(project.reports / PAIRS[0])
    assert (found.stopped.evidence, len(found.plan)) == ("interrupted", 1)


def test_cells_end_with_the_process_that_runs_them_even_if_it_is_killed(project):
    project.hold(PAIRS[0])
    matrix = started(project, "-c", RUN, PAIRS[0])
    _, cell = project.begun(PAIRS[0])
    matrix.kill()
    assert ends(cell)
    matrix.communicate()


def test_the_guard_gives_the_exit_code_and_leaves_nothing_of_its_group(tmp_path):
    script = f"""
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
sys.exit(7)
"""
    guard = [sys.executable, "-I", "-m", "parity.matrix.orphan_guard", sys.executable, "-c", script]
    with subprocess.Popen(guard, stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=60) == 7
    assert ends(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("arguments", [[], ["--jobs", "2"], ["--cluster", "tcp://127.0.0.1:9", "--list"]])
def test_without_a_cluster_there_is_nothing_for_the_command_to_do(arguments):
    done = samples.python("-m", "parity", "matrix", PAIRS[0], *arguments)
    assert done.returncode == 2
    assert "--cluster" in done.stderr
