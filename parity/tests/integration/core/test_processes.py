"""A process that is silent is ended, and says where it was; one that computes, or gets no CPU, is not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from parity.core import silence
from parity.core.processes import JsonProcess, LineProcess, ProcessEndedError, ProcessSilentError, run
from parity.core.silence import Silence
from parity.tests.support import hanging
from parity.tests.support.hanging import LIMIT_S

linux = pytest.mark.skipif(not hanging.CAN_STARVE, reason="needs Linux, and a priority to be starved below")


@pytest.fixture
def worker():
    """Starts a process that answers after it has run a script."""
    started = []

    def start(script, answer="{}", limit_s=LIMIT_S):
        process = JsonProcess(
            "the worker", ["-c", f"{script}\nimport json; print(json.dumps({answer}))"], None, None, limit_s
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


def test_a_worker_that_computes_for_longer_than_the_limit_answers(worker):
    assert worker(hanging.COMPUTES, "{'answer': 1}").receive() == {"answer": 1}


def test_cpu_time_is_progress_where_the_states_of_threads_are_not_known(worker, monkeypatch):
    monkeypatch.setattr(silence, "_wants_cpu", lambda process: False)
    assert worker(hanging.COMPUTES, "{'answer': 1}").receive() == {"answer": 1}


@linux
@pytest.mark.parametrize("script", [hanging.STARVES, hanging.THREAD_STARVES], ids=["process", "thread"])
def test_a_worker_at_low_priority_beside_eight_busy_processes_answers(worker, script):
    starving = worker(f"print({{}}, flush=True)\n{script}", "{'used_s': used_s}")
    starving.receive()
    with hanging.busy():
        starving.send({})
        reply = starving.receive()
    assert reply["used_s"] < silence.CPU_SHARE * hanging.WORK_S  # else it was not starved


@pytest.mark.parametrize(
    ("script", "function"), [(hanging.SLEEPS, "asleep"), (hanging.TICKS, "ticking")], ids=["sleeps", "ticks"]
)
def test_a_silent_worker_is_ended_and_says_where_it_was(worker, script, function):
    silent = worker(script)
    began = time.monotonic()
    with pytest.raises(
        ProcessSilentError, match=rf"no progress for {LIMIT_S:g} s in {function} \(<string>:\d+\)"
    ) as caught:
        silent.receive()
    assert LIMIT_S < time.monotonic() - began < 5 * LIMIT_S
    assert caught.value.status == "timeout"
    with pytest.raises(ProcessSilentError):  # and is not taken for a crash afterwards
        silent.receive()


def test_the_descendants_of_a_worker_count_and_are_ended_with_it(worker):
    child = f"subprocess.Popen([sys.executable, '-c', {hanging.COMPUTES!r}])"
    assert worker(f"import subprocess, sys; {child}.wait()", "{'answer': 1}").receive() == {"answer": 1}
    sleeping = LineProcess(
        "the worker",
        ["-c", "import subprocess, sys; c = subprocess.Popen(['sleep', '600']); print(c.pid, flush=True); c.wait()"],
        limit_s=LIMIT_S,
    )
    pid = int(sleeping.read_line())
    with pytest.raises(ProcessSilentError):
        sleeping.read_line()
    assert hanging.gone(pid)
    sleeping.close()


def test_output_of_either_stream_is_progress(worker):
    noisy = "import sys, time\nfor _ in range(30): time.sleep(0.1); print('x', file=sys.stderr, flush=True)"
    assert worker(noisy, "{'answer': 1}", 1.0).receive() == {"answer": 1}


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not say how much a process writes")
def test_writing_is_progress_at_whatever_speed(worker, tmp_path):
    slow = f"""
import time
with open({str(tmp_path / "file")!r}, "wb", buffering=0) as file:
    for _ in range(12):
        file.write(bytes(1 << 19))
        time.sleep(0.25)
"""
    assert worker(slow, "{'answer': 1}", 1.0).receive() == {"answer": 1}


@linux
def test_a_stopped_process_is_not_ended(worker):
    process = worker("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "{'answer': 1}", 0.5)
    time.sleep(0.2)
    quiet = Silence(process._process.pid, 0.5)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert not quiet.reached()
        time.sleep(0.02)
    os.kill(process._process.pid, signal.SIGCONT)
    assert process.receive() == {"answer": 1}


def test_time_in_which_nobody_looked_does_not_count():
    process = subprocess.Popen(["sleep", "600"])
    try:
        quiet = Silence(process.pid, 0.5)
        for _ in range(3):
            time.sleep(0.5)
            assert not quiet.reached()
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_ended_is_a_crash_also_where_its_child_keeps_the_pipe_open(worker):
    ended = worker("import os, subprocess\nsubprocess.Popen(['sleep', '5']); os._exit(3)")
    with pytest.raises(ProcessEndedError, match="ended with code 3") as caught:
        ended.receive()
    assert caught.value.status == "crash"


def test_a_worker_that_was_aborted_says_where(worker):
    with pytest.raises(
        ProcessEndedError, match=r"code -6: lost / Fatal Python error: Aborted in broken \(<string>:3\)"
    ):
        worker(
            "import os, sys\ndef broken():\n  os.abort()\nprint('lost', file=sys.stderr, flush=True); broken()"
        ).receive()


def test_an_end_of_output_is_not_the_end_of_a_process():
    process = LineProcess("the worker", ["-c", f"import os; os.close(1)\n{hanging.SLEEPS}"], limit_s=LIMIT_S)
    try:
        assert process.read_line() is None
        with pytest.raises(ProcessSilentError, match="asleep"):
            process.exit_code()
    finally:
        process.close()


# Commands


def python(script, **options):
    return run([sys.executable, "-c", script], **options)


def test_a_command_gives_its_code_and_its_output():
    done = python("import sys; print(sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)", given="x" * 200_000)
    assert (done.returncode, done.stdout, done.stderr) == (3, "x" * 200_000 + "\n", "e\n")


def test_a_command_that_computes_is_waited_for():
    assert python(f"{hanging.COMPUTES}\nprint('done')", limit_s=LIMIT_S).stdout == "done\n"


def test_a_silent_command_is_ended_and_says_where_it_was():
    with pytest.raises(ProcessSilentError, match="asleep"):
        python(f"print('begun', flush=True)\n{hanging.SLEEPS}", limit_s=LIMIT_S)
    with pytest.raises(ProcessSilentError, match=r"sleep 600 made no progress for 0\.5 s"):
        run(["sleep", "600"], limit_s=0.5)
