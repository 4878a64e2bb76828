"""Whatever becomes of a child process, what it saw is kept, what ended it is told, and nothing of it goes on."""

import os
import resource
import signal
import sys
import time

import pytest

from parity import records
from parity.core import failures, silence
from parity.matrix import child_process
from parity.matrix.child_process import INTERRUPTED, DeferredInterrupt, complete_record, python, watch
from parity.records import ABORTED, COMPLETE, CRASH, ERROR, MISSING, PASS, TIMEOUT
from parity.tests.support import hanging, samples
from parity.tests.support.hanging import gone

BEGUN = """
import os, signal, subprocess, sys, time
from pathlib import Path
from parity.records import Recorder
from parity.tests.support import samples

recorder = Recorder(Path(sys.argv[1]), samples.run(cell="planted"))
for number in range(3):
    recorder.add(samples.planned(item=f"question {number}"))
recorder.add(samples.check(item="question 0"))
print("begun")
"""
"""A run that has planned three questions, and has asked one."""
LIMIT_S = 30.0


@pytest.fixture
def run(tmp_path):
    """The record and the end of a child that begins a run, and then does what a script says."""

    def of(script, limit_s=LIMIT_S, begun=BEGUN, show=lambda text: None, interrupt=None, silence_s=LIMIT_S):
        command = python("-c", begun + script, str(tmp_path))
        interrupt = interrupt or DeferredInterrupt()
        ended = watch(command, tmp_path / "log.txt", limit_s, show, lambda: interrupt.requested, silence_s)
        return complete_record(tmp_path, samples.run(cell="blank", state=ABORTED), ended), ended

    return of


def statuses(run):
    return [check.status for check in run.all_checks()]


def requested_when(text, interrupt):
    """Asks for an interrupt once the child has said `text`."""
    collected = []

    def show(output):
        collected.append(output)
        interrupt.requested = interrupt.requested or text in "".join(collected)

    return show


SEALED = "recorder.seal('complete', {'importing': 1.0});"

# What ends it from within

ABORT = """
os.write(2, b"F0000 00:00:17.5 4711 array.cc:52] Check failed: rank == 2 (1 vs. 2) in /home/someone/build/array.cc\\n")
os.abort()
"""


def test_a_native_abort_is_a_crash_of_the_running_item_with_the_last_native_lines(run):
    aborted, _ = run(ABORT)
    assert statuses(aborted) == [PASS, CRASH, MISSING]
    assert aborted.stopped == records.Stopped(
        CRASH, failures.CRASH, "ended by SIGABRT: Check failed: rank == 2 (1 vs. 2) in array.cc"
    )
    in_flight = aborted.checks[1]
    assert (in_flight.item, in_flight.failure) == ("question 1", failures.CRASH)
    assert in_flight.evidence == in_flight.message == aborted.stopped.evidence


@pytest.mark.parametrize(
    ("script", "evidence"),
    [
        ("import ctypes; ctypes.string_at(0)", "ended by SIGSEGV: Fatal Python error: Segmentation fault"),
        ("os.abort()", "ended by SIGABRT: Fatal Python error: Aborted"),
        (
            "os.write(2, b\"terminate called after throwing an instance of 'std::bad_alloc'\\n\"); os.abort()",
            "ended by SIGABRT: std::bad_alloc",
        ),
        (
            "os.write(2, b'LLVM ERROR: out of registers\\n'); os.abort()",
            "ended by SIGABRT: LLVM ERROR: out of registers",
        ),
        ("os.kill(os.getpid(), signal.SIGUSR1)", "ended by SIGUSR1"),
    ],
    ids=["null-pointer", "abort", "bad-alloc", "llvm", "another-signal"],
)
def test_a_crash_names_its_signal_and_the_last_lines(run, script, evidence):
    crashed, _ = run(script)
    assert (crashed.stopped.status, crashed.stopped.failure) == (CRASH, failures.CRASH)
    assert crashed.stopped.evidence == evidence
    assert statuses(crashed) == [PASS, CRASH, MISSING]


def test_a_kill_as_for_memory_tells_the_peak_of_this_child_and_of_no_other(run, tmp_path):
    hungry = "held = b'x' * (300 << 20)"
    watch(python("-c", hungry), tmp_path / "other.txt", LIMIT_S, lambda text: None, lambda: False)
    killed, _ = run("held = b'x' * (120 << 20); os.kill(os.getpid(), signal.SIGKILL)")
    assert statuses(killed) == [PASS, CRASH, MISSING]
    assert killed.stopped.failure == failures.CRASH
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # which a child begins with until it is exec'd
    peak_mib = int(killed.stopped.evidence.removesuffix(" MiB").rpartition(" ")[2].replace(",", ""))
    assert 120 < peak_mib < max(300, before + 50)
    assert killed.stopped.evidence == f"killed (SIGKILL), as when memory runs out; it had used {peak_mib:,} MiB"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of its addresses")
def test_memory_that_is_refused_is_an_error_that_says_so(run):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); b'x' * (4 << 30)"
    refused, _ = run(limited)
    assert refused.stopped == records.Stopped(ERROR, failures.UNKNOWN, "MemoryError")
    assert statuses(refused) == [PASS, MISSING, MISSING]


@pytest.mark.parametrize("limited", ["limit_s", "silence_s"])
def test_a_hang_is_a_timeout_of_the_running_item_and_ends_its_process_group(run, tmp_path, limited):
    script = f"""
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(sys.argv[1], "pid").write_text(str(other.pid))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{hanging.SLEEPS}
"""
    hung, _ = run(script, **{limited: 2.0})
    assert statuses(hung) == [PASS, TIMEOUT, MISSING]
    assert (hung.stopped.status, hung.stopped.failure) == (TIMEOUT, failures.TIMEOUT)
    why = {"limit_s": "no end after 2 s", "silence_s": "no progress for 2 s"}[limited]
    assert hung.stopped.evidence.startswith(f"{why} in asleep (<string>:")
    assert hung.checks[1].message == hung.stopped.evidence
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_run_that_computes_without_output_for_longer_than_the_limit_is_not_ended(run):
    done, _ = run(f"{hanging.COMPUTES}\n{SEALED}", silence_s=hanging.LIMIT_S)
    assert (done.state, done.stopped) == (COMPLETE, None)


@pytest.mark.skipif(not hanging.CAN_STARVE, reason="needs Linux, and a priority to be starved below")
def test_a_run_at_low_priority_beside_eight_busy_processes_is_not_ended(run, tmp_path):
    script = f"""
subprocess.run([sys.executable, "-SEc", {hanging.BESIDE!r}], check=True)
{hanging.STARVES}
Path(sys.argv[1], "used").write_text(str(used_s))
{SEALED}
"""
    done, _ = run(script, silence_s=hanging.LIMIT_S)
    assert (done.state, done.stopped) == (COMPLETE, None)
    assert float((tmp_path / "used").read_text()) < silence.CPU_SHARE * hanging.WORK_S  # else it was not starved


def test_a_silent_run_that_has_recorded_so_itself_is_not_a_crash(run):
    script = """
from parity.records import Stopped, seal
recorder.run.stopped = Stopped("timeout", "timeout", "no progress for 3 s in f (x.py:1)")
recorder.seal("aborted", {})
os.abort()
"""
    stopped, _ = run(script)
    assert (stopped.stopped.status, stopped.stopped.evidence) == (TIMEOUT, "no progress for 3 s in f (x.py:1)")


def test_what_a_child_leaves_behind_is_ended_and_not_waited_for(run, tmp_path):
    script = """
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(sys.argv[1], "pid").write_text(str(other.pid))
recorder.seal("complete", {})
"""
    began = time.monotonic()
    left, ended = run(script)
    assert time.monotonic() - began < LIMIT_S / 2
    assert (ended.code, left.stopped) == (0, None)
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("script", ["sys.exit(0)", "time.sleep(600)"], ids=["ends", "is-killed"])
def test_no_group_is_signalled_whose_leader_has_been_waited_for(run, monkeypatch, script):
    signalled = []

    def killpg(group, number, killpg=os.killpg):
        # Raises ChildProcessError once the leader was waited for: its id may be another process's by then.
        os.waitid(os.P_PID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        signalled.append(group)
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    run(script, limit_s=1.0)
    assert signalled


# What ends it by itself


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_came_to_its_end_is_not_stopped_whatever_its_verdict(run, code):
    done, _ = run(f"{SEALED} sys.exit({code})")
    assert (done.state, done.stopped, done.spent_s) == (COMPLETE, None, {"importing": 1.0})


def test_an_abort_after_the_record_is_sealed_is_a_crash_that_keeps_every_check(run):
    crashed, _ = run(
        "recorder.add(samples.check(item='question 1')); recorder.add(samples.check(item='question 2'));"
        + SEALED
        + "os.abort()"
    )
    assert crashed.stopped.status == CRASH
    assert statuses(crashed) == [PASS] * 3


def test_what_no_record_was_left_of_is_the_blank_one_with_the_reason(run):
    failed, _ = run("import tensorflow_that_is_not_there", begun="")
    assert failed.cell == "blank"
    assert failed.stopped == records.Stopped(ERROR, failures.IMPORT, "No module named 'tensorflow_that_is_not_there'")


def test_a_record_cut_off_within_a_line_keeps_what_stands_before(run):
    torn, _ = run('recorder._lines.write(\'{"event": "che\'); recorder._lines.flush(); os._exit(3)')
    assert statuses(torn) == [PASS, MISSING, MISSING]


def test_a_damaged_record_of_a_child_is_replaced_by_an_error_record(run, tmp_path):
    damaged, _ = run(
        "Path(sys.argv[1], 'run.jsonl').unlink(); Path(sys.argv[1], 'run.json').write_text('{'); sys.exit(1)"
    )
    assert (damaged.cell, damaged.stopped.status) == ("blank", ERROR)


def output(text, code=1):
    return f"sys.stdout.write({text!r}); sys.exit({code})"


SKEW = """Traceback (most recent call last):
  File "/home/someone/parity/cli.py", line 1, in main
tensorflow.python.framework.errors_impl.InvalidArgumentError: Graph execution error:

Cannot deserialize computation: UNKNOWN: <unknown>:0: error: loc("x"): unregistered operation 'vhlo.custom_call_v2' \
found in dialect ('vhlo') that does not allow unknown operations
failed to deserialize portable artifact using StableHLO_v1.13.7
"""
PARITY = (
    "parity: tensorflow cannot be imported: ImportError: libtpu.so: no such file. Expected both frameworks; install."
)


@pytest.mark.parametrize(
    ("text", "code", "kind", "evidence"),
    [
        (PARITY, 3, failures.IMPORT, "ImportError: libtpu.so: no such file"),
        (f"!!!! _pytest.outcomes.Exit: {PARITY} !!!!", 3, failures.IMPORT, "ImportError: libtpu.so: no such file"),
        (SKEW, 70, failures.STABLEHLO_SKEW, "vhlo.custom_call_v2"),
        ("parity: cannot read /home/someone/a.json: cut.", 4, failures.UNKNOWN, "parity: cannot read a.json: cut."),
        ("loading /home/someone/lib/x.so\n", 9, failures.UNKNOWN, "it ended with code 9: loading x.so"),
        ("loading\nOSError: gone\nERROR: case 'a': predict raised E.\n\n", 2, failures.UNKNOWN,
         "ERROR: case 'a': predict raised E."),
        ("! Interrupted: 1 error during collection !\nE   KeyError: 'op'\n", 130, failures.UNKNOWN, "KeyError: 'op'"),
    ],
    ids=["import", "pytest-exit", "skew-in-later-lines", "parity", "last-line", "usage", "collection-error"],
)  # fmt: skip
def test_a_run_that_gave_up_is_an_error_of_the_class_that_its_log_tells(run, text, code, kind, evidence):
    failed, _ = run(output(text, code))
    assert failed.stopped == records.Stopped(ERROR, kind, evidence)
    assert statuses(failed) == [PASS, MISSING, MISSING]


def test_a_silent_run_is_classified_by_its_exit_code(run):
    silent, _ = run("import os; os._exit(9)", begun="")
    assert silent.stopped == records.Stopped(ERROR, failures.UNKNOWN, "it ended with code 9 and printed nothing")


# The log


def test_all_that_a_child_and_its_children_print_is_in_the_log_and_shown_in_order(run, tmp_path):
    (tmp_path / "log.txt").write_text("before\n", encoding="utf-8")
    script = """
print("héllo")
os.write(1, "\\N{GREEK SMALL LETTER PI}".encode()[:1]); time.sleep(0.3)
os.write(1, "\\N{GREEK SMALL LETTER PI}".encode()[1:] + b"\\xff\\n")
subprocess.run([sys.executable, "-c", "import sys; print('from within', file=sys.stderr)"])
print("buffered", end=""); os._exit(0)
"""
    shown = []
    _, ended = run(script, show=shown.append)
    expected = "begun\nhéllo\nπ\\xff\nfrom within\nbuffered"
    assert "".join(shown) == ended.log == expected
    assert (tmp_path / "log.txt").read_text(encoding="utf-8", errors="backslashreplace") == f"before\n{expected}"


def test_a_child_is_ended_where_its_output_cannot_be_printed(tmp_path):
    def broken(text):
        raise BrokenPipeError

    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); print(1); time.sleep(600)"
    with pytest.raises(BrokenPipeError):
        watch(python("-c", script), tmp_path / "log.txt", LIMIT_S, broken, lambda: False)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_child_cannot_wait_for_input(run):
    read, _ = run("print(repr(sys.stdin.read())); sys.exit(4)")
    assert read.stopped.evidence == "it ended with code 4: ''"


# Interrupts

SEALS_ITSELF = """
try:
    print("ready")
    time.sleep(600)
except KeyboardInterrupt:
    recorder.add(samples.check(item="question 1"))
    recorder.seal("interrupted", {})
    sys.exit(130)
"""


def test_an_interrupted_child_seals_its_own_record(run):
    interrupt = DeferredInterrupt()
    stopped, ended = run(SEALS_ITSELF, show=requested_when("ready", interrupt), interrupt=interrupt)
    assert (ended.code, ended.stopped) == (130, INTERRUPTED)
    assert stopped.stopped == records.Stopped(MISSING, "", "interrupted")
    assert statuses(stopped) == [PASS, PASS, MISSING]


def test_a_child_that_does_not_heed_an_interrupt_is_killed_and_what_it_saw_is_kept(run, monkeypatch):
    monkeypatch.setattr(child_process, "PATIENCE_S", 0.3)
    interrupt = DeferredInterrupt()
    deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready'); time.sleep(600)"
    stopped, ended = run(deaf, show=requested_when("ready", interrupt), interrupt=interrupt)
    assert (ended.code, ended.stopped) == (-signal.SIGKILL, INTERRUPTED)
    assert stopped.stopped == records.Stopped(MISSING, "", "interrupted")
    assert statuses(stopped) == [PASS, MISSING, MISSING]


def test_a_child_heeds_interrupts_also_where_this_process_was_started_to_ignore_them(run):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt = DeferredInterrupt()
        stopped, ended = run(SEALS_ITSELF, show=requested_when("ready", interrupt), interrupt=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.code == 130
    assert statuses(stopped) == [PASS, PASS, MISSING]


def test_a_run_that_ended_before_it_could_be_interrupted_counts(run):
    interrupt = DeferredInterrupt()
    script = f"signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready'); time.sleep(0.3); {SEALED} sys.exit(0)"
    done, ended = run(script, show=requested_when("ready", interrupt), interrupt=interrupt)
    assert (ended.stopped, done.stopped) == (INTERRUPTED, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_child_that_somebody_else_ends_was_interrupted(run, number):
    script = f"signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number}); time.sleep(9)"
    stopped, _ = run(script)
    assert stopped.stopped == records.Stopped(MISSING, "", "interrupted")


@pytest.mark.parametrize("words", ["parity: interrupted", "!!!!!!! KeyboardInterrupt !!!!!!!"])
def test_the_exit_code_of_an_interrupt_is_one_where_the_log_says_so(run, words):
    stopped, _ = run(output(f"{words}\n", 130))
    assert stopped.stopped == records.Stopped(MISSING, "", "interrupted")


def test_requests_to_end_are_noted_as_often_as_they_come_and_heeded_again_afterwards():
    before = [signal.getsignal(number) for number in child_process.END_SIGNALS]
    with DeferredInterrupt() as interrupt:
        assert not interrupt.requested
        for number in (*child_process.END_SIGNALS, signal.SIGINT):
            signal.raise_signal(number)
        assert interrupt.requested
    assert [signal.getsignal(number) for number in child_process.END_SIGNALS] == before
    assert not DeferredInterrupt().requested


def test_what_this_process_was_started_to_ignore_it_goes_on_ignoring():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with DeferredInterrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_child_does_not_outlive_a_watcher_that_is_killed(tmp_path):
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); print(1); time.sleep(600)"
    watcher = f"""
import os, signal
from pathlib import Path
from parity.matrix.child_process import python, watch
show = lambda text: os.kill(os.getpid(), signal.SIGKILL)
watch(python("-c", {child!r}), Path({str(tmp_path / "log.txt")!r}), 60.0, show, lambda: False)
"""
    assert samples.python("-c", watcher).returncode == -signal.SIGKILL
    assert gone(int((tmp_path / "pid").read_text()))
