"""Many cells at a time on this machine: their order, what is recorded whatever happens, and how they end."""

import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import parity
from parity import records
from parity.export import archives
from parity.matrix import leash, running, scheduling
from parity.records import MISSING, Stopped
from parity.records.cells import Cell
from parity.tests.support import samples
from parity.tests.support.bundle_files import write as write_bundle
from parity.tests.support.small_matrix import BROKEN, EXPORT, NO_PYTHON, PAIRS, VERIFY, Project, ends, started

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def run(project, *names, options=(), jobs=2):
    told = []
    scheduling.run_here(project.folder, list(names), list(options), jobs, told.append)
    return told


def test_exports_come_first_and_verifications_last():
    assert scheduling.stages([VERIFY, *PAIRS, EXPORT]) == [[EXPORT, *PAIRS], [VERIFY]]
    assert scheduling.stages(PAIRS[:1]) == [[PAIRS[0]]]


def test_a_cell_that_archives_is_not_left_out():
    assert scheduling.stages([VERIFY, "py311-jax1.0-archive"]) == [["py311-jax1.0-archive"], [VERIFY]]


def test_a_reader_is_not_up_to_date_where_a_bundle_was_archived_since(project, monkeypatch):
    monkeypatch.setattr(parity, "__file__", str(project.folder / "parity" / "__init__.py"))
    monkeypatch.setattr(running, "fingerprint", lambda *made_from: "")
    run(project, EXPORT, VERIFY)
    assert len(scheduling.settled(project.folder, VERIFY, [])) == 2
    archives.enlist(write_bundle(archives.path_of(project.folder / "fixtures" / "bundles", "1.0")))
    assert scheduling.settled(project.folder, VERIFY, []) == []


def test_every_cell_leaves_a_sealed_record_and_verifications_find_the_exports(project):
    told = run(project, VERIFY, PAIRS[0], EXPORT)
    assert project.outcomes() == dict.fromkeys([PAIRS[0], EXPORT, "split-jax1.0-tf2.1", "fleet-jax1.0-tf2.1"], "pass")
    assert [line.split("] ")[1] for line in told[2:]] == ["split-jax1.0-tf2.1: pass", "fleet-jax1.0-tf2.1: pass"]
    assert [line.split()[0] for line in told] == ["[1/3]", "[2/3]", "[3/3]", "[3/3]"]


def test_what_tox_cannot_begin_is_recorded_as_missing_with_the_reason(project):
    run(project, NO_PYTHON, BROKEN)
    assert project.outcomes() == {NO_PYTHON: MISSING, BROKEN: MISSING}
    assert records.read(project.reports / NO_PYTHON).stopped.evidence == "no Python 3.99 here"
    assert records.read(project.reports / BROKEN).stopped.evidence == "parity: no such luck"


def test_a_record_from_before_stays_where_tox_cannot_begin(project):
    records.seal(project.reports / BROKEN, samples.run(cell=BROKEN, checks=[samples.check()]))
    [line] = run(project, BROKEN)
    assert line == f"[1/1] {BROKEN}: as it was, not run now: parity: no such luck"
    assert project.outcomes() == {BROKEN: "pass"}


def test_what_was_seen_before_a_cell_was_cut_off_is_sealed(project):
    recorder = records.Recorder(project.reports / PAIRS[0], samples.run(cell=PAIRS[0]))
    recorder.add(samples.check())
    scheduling.stop(project.folder, PAIRS[0], Stopped(MISSING, "", "cut off"))
    found = records.read(project.reports / PAIRS[0] / "run.json")
    assert (found.stopped.evidence, len(found.checks)) == ("cut off", 1)
    assert not (project.reports / PAIRS[0] / "run.jsonl").exists()


def test_a_long_reason_is_told_in_lines_of_80_columns():
    told = []
    scheduling.teller(told.append, 70)([f"{PAIRS[0]}: error, skew: {'unregistered operation ' * 20}"])
    lines = told[0].splitlines()
    assert lines[0].startswith(f"[1/70] {PAIRS[0]}: error, skew: unregistered")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80


def test_an_interrupt_is_passed_on_and_seals_what_was_seen(project):
    project.hold(PAIRS[0])
    matrix = started(project, PAIRS[0], PAIRS[1])
    _, cell = project.begun(PAIRS[0])
    matrix.send_signal(signal.SIGINT)
    _, said = matrix.communicate(timeout=60)
    assert (matrix.returncode, said) == (130, "parity: interrupted\n")
    assert ends(cell, 0)
    assert project.outcomes() == {PAIRS[0]: MISSING}
    found = records.read(project.reports / PAIRS[0])
    assert (found.stopped.evidence, len(found.plan)) == ("interrupted", 1)
    assert project.runs(PAIRS[1]) == 0


def test_cells_heed_an_interrupt_also_where_the_matrix_was_started_in_the_background(project):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts with &
    try:
        project.hold(PAIRS[0])
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(scheduling.run_tox, project.folder, PAIRS[0], [], stop.is_set)
            _, cell = project.begun(PAIRS[0])
            stop.set()
            assert ends(cell, leash.PATIENCE_S / 2)
            assert told.result() == [f"{PAIRS[0]}: missing, interrupted"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_cells_end_with_the_matrix_that_runs_them_even_if_it_is_killed(project):
    project.hold(PAIRS[0])
    matrix = started(project, PAIRS[0])
    _, cell = project.begun(PAIRS[0])
    matrix.kill()
    assert ends(cell)
    matrix.communicate()


def test_a_cell_that_is_up_to_date_does_not_start_tox_until_the_code_changes(project):
    package = Path(parity.__file__).parent
    shutil.copytree(package, project.folder / "parity", ignore=shutil.ignore_patterns("__pycache__"))
    [task] = running.tasks(Cell.parse(PAIRS[0]), project.reports, [])
    records.seal(project.reports / PAIRS[0], samples.run(cell=PAIRS[0], checks=[samples.check()], inputs=task.inputs))
    said, _ = started(project, PAIRS[0]).communicate(timeout=60)
    assert f"{PAIRS[0]}: pass, up to date" in said
    assert project.runs(PAIRS[0]) == 0
    with (project.folder / "parity" / "compare.py").open("a") as code:
        code.write("# changed\n")
    said, _ = started(project, PAIRS[0]).communicate(timeout=60)
    assert f"{PAIRS[0]}: pass\n" in said
    assert project.runs(PAIRS[0]) == 1


def test_options_are_for_the_cell_to_judge(project):
    assert scheduling.settled(Path(parity.__file__).parents[1], PAIRS[0], ["--fresh"]) == []


def test_no_job_at_all_is_refused():
    done = samples.python("-m", "parity", "matrix", PAIRS[0], "--jobs", "0")
    assert (done.returncode, done.stderr) == (2, "parity: --jobs 0: expected 1 or more.\n")
