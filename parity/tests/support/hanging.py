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


CAN_STARVE = sys.platform == "linux" and os.nice(0) == 0
"""Whether Linux tells which threads wait for a CPU, and others may get far more of it than a process at nice 19."""


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


BUSY = f"""
import os, time
os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[-1]])
until = time.monotonic() + {WORK_S + 0.5}
os.write(1, b"x")
while time.monotonic() < until:
    pass
"""
"""Keeps the core that `STARVES` chooses busy."""
BESIDE = f"""
import subprocess, sys
command = [sys.executable, "-SEc", {BUSY!r}]
processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
for process in processes:
    process.stdout.read(1)
"""
"""Leaves eight busy processes behind, which are nobody's children then, in the session that it was started in: Linux
may share its CPUs between sessions first."""


@contextmanager
def busy(count=8):
    """Keeps that core busy with as many processes."""
    processes = [subprocess.Popen([sys.executable, "-SEc", BUSY], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in processes:
            process.stdout.read(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()
