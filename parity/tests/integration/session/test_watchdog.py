"""A run that hangs is ended from outside, and its record says in which item, and where."""

import os
import signal
import subprocess
import sys
import time

import pytest

from parity import records
from parity.core import failures, silence
from parity.records import COMPLETE, MISSING, PASS, TIMEOUT
from parity.tests.support import hanging, samples
from parity.tests.support.hanging import LIMIT_S

RUN = """
import ctypes, os, signal, sys, time
from pathlib import Path
from parity.records import Recorder
from parity.session.watchdog import Watchdog
from parity.tests.support import samples

out = Path(sys.argv[1])
watchdog = Watchdog(out, "planted", float(sys.argv[2]))
print(watchdog._process.pid, flush=True)
"""
BEGUN = """
recorder = Recorder(out, samples.run(cell="planted"))
for number in range(4):
    recorder.add(samples.planned(item=f"question {number}"))
recorder.add(samples.check(item="question 0"))
recorder.add(samples.check(item="question 2"))
watchdog.tell("question 2")
"""
"""A run whose third item has a check of one of its tests, and is in another."""
ENDS = """
recorder.seal("complete", {})
watchdog.close()
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script that is watched: its exit code, what it printed, and the record, if there is one."""

    def of(script, limit_s=LIMIT_S):
        done = samples.python("-X", "faulthandler", "-c", RUN + script, tmp_path, limit_s)
        assert hanging.gone(int(done.stdout.split()[0]))
        return done, records.read(tmp_path) if any(tmp_path.glob("run.json*")) else None

    return of


HOLDS_THE_LOCK = """
def asleep():
    mutex, native = ctypes.create_string_buffer(64), ctypes.PyDLL(None)  # which lets no other thread of Python run
    for _ in range(2):
        native.pthread_mutex_lock(mutex)
asleep()
"""


@pytest.mark.parametrize("script", [hanging.SLEEPS, HOLDS_THE_LOCK], ids=["sleeps", "holds-the-lock"])
def test_a_run_that_hangs_is_ended_and_recorded_as_a_timeout_of_its_item_with_the_stack(run, tmp_path, script):
    done, record = run(BEGUN + script)
    assert done.returncode == -signal.SIGABRT
    assert (record.stopped.status, record.stopped.failure) == (TIMEOUT, failures.TIMEOUT)
    assert record.stopped.evidence.startswith(f"no progress for {LIMIT_S:g} s in asleep (<string>:")
    assert {check.item: check.status for check in record.all_checks() if check.leaf.startswith("*")} == {
        "question 1": MISSING, "question 2": TIMEOUT, "question 3": MISSING,
    }  # fmt: skip
    assert "question 2" in done.stderr
    assert "asleep" in done.stderr.partition("Fatal Python error")[2]  # all of its stacks
    assert not (tmp_path / "run.jsonl").exists()
    assert (tmp_path / "index.html").is_file()


def test_a_run_that_hangs_before_its_plan_leaves_a_record_that_says_so(run):
    done, record = run(hanging.SLEEPS)
    assert (done.returncode, record.cell, record.plan) == (-signal.SIGABRT, "planted", [])
    assert record.stopped.status == TIMEOUT
    assert "asleep" in record.stopped.evidence


def test_a_run_that_hangs_after_its_record_was_sealed_keeps_it(run):
    done, record = run(f"{BEGUN}\nrecorder.seal('complete', {{}})\n{hanging.SLEEPS}")
    assert (done.returncode, record.state, record.stopped) == (-signal.SIGABRT, COMPLETE, None)


def test_a_run_that_computes_for_longer_than_the_limit_comes_to_its_end(run):
    done, record = run(BEGUN + hanging.COMPUTES + ENDS)
    assert (done.returncode, record.state, record.stopped) == (0, COMPLETE, None)


@pytest.mark.skipif(not hanging.CAN_STARVE, reason="needs Linux, and a priority to be starved below")
def test_a_run_at_low_priority_beside_eight_busy_processes_comes_to_its_end(tmp_path):
    script = f"{RUN}{BEGUN}{hanging.STARVES}\nprint(used_s){ENDS}"
    command = [sys.executable, "-c", script, str(tmp_path), str(LIMIT_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        time.sleep(LIMIT_S / 2)  # the watchdog is ready
        with hanging.busy():
            output, _ = process.communicate("go\n")
    assert process.returncode == 0
    assert float(output) < silence.CPU_SHARE * hanging.WORK_S  # else it was not starved
    assert records.read(tmp_path).state == COMPLETE


def test_who_waits_for_a_user_in_a_debugger_is_not_ended(run):
    waits = f"watchdog.pytest_enter_pdb(); time.sleep({3 * LIMIT_S}); watchdog.pytest_leave_pdb()"
    done, record = run(BEGUN + waits + ENDS)
    assert (done.returncode, record.state) == (0, COMPLETE)


def test_a_watchdog_ends_with_its_run_also_where_a_fork_of_that_lives_on(run):
    script = "if os.fork() == 0:\n    os.close(1), os.close(2), time.sleep(4 * float(sys.argv[2]))\nos._exit(3)"
    done, record = run(f"{BEGUN}\n{script}")
    assert (done.returncode, record.stopped) == (3, None)


CASE = """
import dataclasses, time
from parity.tests.support import tiny

def dataset():
    time.sleep(600)

case = dataclasses.replace(tiny.tiny, name="mine", probes=("predict",), accuracy=None, dataset=dataset)
"""


@pytest.mark.slow
def test_a_run_of_a_case_that_hangs_ends_with_a_record_that_names_the_function(tmp_path):
    (tmp_path / "mine.py").write_text(CASE)
    limited = {**os.environ, silence.VARIABLE: "6"}
    options = ["--case=mine.py:case", "--runtime=tf_graph", "--batch-size=13", "--probe=predict", "--out=out"]
    done = samples.parity("run", *options, cwd=tmp_path, env=limited, timeout=300)
    assert done.returncode == -signal.SIGABRT, done.stdout + done.stderr
    record = records.read(tmp_path / "out")
    assert record.stopped.status == TIMEOUT
    assert "dataset (mine.py:6)" in record.stopped.evidence
    assert PASS not in record.counts()
