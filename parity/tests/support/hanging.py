"""Processes that compute, sleep, or get no CPU, for the tests of silence."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

LIMIT_S = 1.0
"""Seconds of silence after which the tests end a process."""
WORK_S = 3 * LIMIT_S
"""How long the processes that go on compute: longer than the limit, whichever look is the first."""

SPIN = f"""
import os, time
def spin(nice=0):
    until = time.monotonic() + {WORK_S}
    os.nice(nice)
    while time.monotonic() < until:
        pass
"""
COMPUTES = f"{SPIN}\nspin()"
"""Uses one core, and prints nothing meanwhile."""
SLEEPS = """
import time
def asleep():
    time.sleep(600)
asleep()
"""
TICKS = """
import time
def ticking():
    while True:
        time.sleep(0.2)
ticking()
"""
"""Wakes often, for microseconds."""
STARVES = f"""
{SPIN}
import sys
from threading import Thread
os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[-1]])
sys.stdin.readline()
before = time.process_time()
spin(19)
used_s = time.process_time() - before
"""
"""After a line of input, wants one core and gets next to nothing of it beside `busy`: `used_s` of CPU time."""
THREAD_STARVES = STARVES.replace(
    "\nspin(19)", "\nthread = Thread(target=spin, args=[19]); thread.start(); thread.join()"
)
"""As compiled code does: the first thread waits, another one computes."""


def gone(pid, within_s=10.0):
    """Whether a process has ended; nobody may have collected it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if sys.platform == "linux" and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@contextmanager
def busy(seconds=WORK_S + 0.5, count=8, apart=False):
    """Keeps the core that `STARVES` chooses busy with as many processes, for some seconds.

    They are in this session, or each in its own: Linux may share its CPUs between sessions first.
    """
    core = sorted(os.sched_getaffinity(0))[-1]
    script = (
        f"import os, time; os.sched_setaffinity(0, [{core}]); until = time.monotonic() + {seconds}; os.write(1, b'x')"
    )
    script += f"\nwhile time.monotonic() < until and os.getppid() == {os.getpid()}: pass"
    command, where = [sys.executable, "-SEc", script], {"stdout": subprocess.PIPE, "start_new_session": apart}
    processes = [subprocess.Popen(command, **where) for _ in range(count)]
    try:
        for process in processes:
            process.stdout.read(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()
