"""How long a process may be silent, what counts as progress, and how a silent process is ended.

A process is silent while it answers and prints nothing and none of this is seen of it and its descendants:

- their CPU time grows, by `CPU_SHARE` of the limit: an idle pool of threads that wakes now and then does not count;
- they read or write `BYTES`: a slow download is no hang;
- a thread of theirs waits for a CPU, as at low priority on a busy machine, or was stopped, as by Ctrl-Z or a debugger.

Nothing limits the total time: a busy machine is slow, not broken.
"""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parity.core.errors import UsageError

if TYPE_CHECKING:
    import psutil

VARIABLE = "PARITY_SILENCE_S"
"""The environment variable that changes the limit."""
DEFAULT_S = 120.0
"""Far longer than any pause that is seen of a process at work (a slow index answers within 30 s), and short beside a
run."""
ANSWER, RUN, CELL, TOX = 1.0, 1.5, 2.0, 2.5
"""The multiples of the limit for a process that answers, a run, a cell's processes, and tox: of processes that wait for
each other the innermost is ended first, so that it costs its own checks only."""
LOOKS = 12
"""Quiet looks, one after the other and evenly spaced, that make silence: time in which nobody looked does not count."""
CPU_SHARE = 0.01
"""Of one core, over the limit: 1.2 s in 120 s. Sound processes that wait use 0.02 s, one that computes far more."""
BYTES = 1 << 20
LAST_WORDS_S = 10.0
"""How long a process that is ended may take to print where it is."""
FRAMES = 6
LONGEST = 160
"""Frames of a stack in evidence, and their characters."""
_POLL_S = 0.05
_NOT_QUIET = frozenset("RTt")  # proc(5): runnable, stopped, stopped by a tracer


def limit_s(multiple: float = ANSWER) -> float:
    """Return the seconds that a process may be silent.

    Args:
        multiple: `ANSWER`, `RUN`, `CELL` or `TOX`.

    Raises:
        UsageError: the environment variable is not a number of seconds above 0.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_S
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < math.inf:
        raise UsageError(f"{VARIABLE}={text}: expected the seconds that a process may be silent, such as 600.")
    return seconds * multiple


class Silence:
    """How long a process has been silent.

    Args:
        pid: of the process; its descendants count as well, except the process that looks.
        limit: seconds.
    """

    def __init__(self, pid: int, limit: float) -> None:
        self.limit, self.interval = limit, limit / LOOKS
        self._pid, self._before, self._quiet = pid, _Look(-math.inf, 0.0, True), 0
        self.heard()

    def heard(self) -> None:
        """Note an answer or output: the limit begins anew."""
        self._quiet, self._due = 0, time.monotonic() + self.interval

    def reached(self) -> bool:
        """Look at the process, if a look is due; return whether it has been silent for the limit.

        Call it about every `interval` seconds.
        """
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self.interval
            seen = _look(self._pid)
            cpu_s, read_or_written = abs(seen.cpu_s - self._before.cpu_s), abs(seen.bytes - self._before.bytes)
            if seen.wants_cpu or cpu_s >= CPU_SHARE * self.limit or read_or_written >= BYTES:
                self._before, self._quiet = seen, 0
            else:
                self._quiet += 1
        return self._quiet >= LOOKS

    def __str__(self) -> str:
        return f"no progress for {self.limit:g} s"


class _Look(NamedTuple):
    """What is seen of a process and its descendants at one moment."""

    cpu_s: float
    bytes: float
    wants_cpu: bool


def _look(pid: int) -> _Look:
    import psutil  # imported late: few processes are ever silent

    cpu_s, moved, wants_cpu = 0.0, 0.0, False
    for process in _tree(pid):
        with suppress(psutil.Error, OSError), process.oneshot():
            cpu_s += sum(process.cpu_times()[:4])  # its own and that of the children it has waited for
            wants_cpu = wants_cpu or _wants_cpu(process)
            if hasattr(process, "io_counters"):  # not on macOS
                counters = process.io_counters()
                moved += counters.read_chars + counters.write_chars
    return _Look(cpu_s, moved, wants_cpu)


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, without this process; none where it has gone."""
    import psutil

    try:
        found = psutil.Process(pid)
        return [one for one in (found, *found.children(recursive=True)) if one.pid != os.getpid()]
    except psutil.Error:
        return []


def _wants_cpu(process: psutil.Process) -> bool:
    """Return whether a thread waits for a CPU or was stopped; elsewhere than on Linux, only the latter is known."""
    if sys.platform != "linux":
        return process.status() == "stopped"
    # Of each thread: psutil knows the state of the first alone, which waits while others compute.
    for path in Path(f"/proc/{process.pid}/task").glob("*/stat"):
        with suppress(OSError):
            if path.read_text(errors="replace").rpartition(")")[2].split()[0] in _NOT_QUIET:
                return True
    return False


def abort(pid: int) -> None:
    """Send SIGABRT, which lets Python's faulthandler print the stack of every thread, and wait until it has ended.

    It leaves no core file. It may go on, and its descendants do: kill them.
    """
    with suppress(ImportError, AttributeError, OSError, ValueError):  # only Linux can
        import resource

        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        os.kill(pid, signal.SIGABRT)
    until = time.monotonic() + LAST_WORDS_S
    while _runs(pid) and time.monotonic() < until:
        time.sleep(_POLL_S)


def end(pid: int) -> None:
    """Abort a process, and kill it and its descendants."""
    import psutil

    processes = _tree(pid)
    abort(pid)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _runs(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def where(text: str) -> str:
    """Return the innermost frames of the last stack that faulthandler printed into `text`; empty where there is none.

    The stack is that of the thread that was interrupted, which is the main one unless that blocks signals.
    """
    stacks = list(_STACK.finditer(text))
    if not stacks:
        return ""
    current = [stack for stack in stacks if stack["which"].startswith("Current")]
    frames = _FRAME.findall((current or stacks)[-1]["frames"])
    found = ""
    for file, line, function in frames[:FRAMES]:
        further = f"{found}, {function} ({file.rpartition('/')[2]}:{line})".lstrip(", ")
        if len(further) > LONGEST:
            break
        found = further
    return found


_STACK = re.compile(
    r"(?m)^(?P<which>Current thread|Thread) 0x\w+.*\(most recent call first\):\n(?P<frames>(?:^  .*\n?)*)"
)
_FRAME = re.compile(r'(?m)^  File "(.*)", line (\d+) in (.+)$')


def last_words(text: str, count: int = 3) -> str:
    """Return the last `count` lines that a process printed, and where it was if it was aborted, as one line."""
    before, fatal, dump = text.partition("Fatal Python error: ")
    lines = before.strip().splitlines()[-count:]
    if fatal:
        kind, place = dump.partition("\n")[0], where(dump)
        lines = [*lines, f"{fatal}{kind}" + (f" in {place}" if place else "")]
    return " / ".join(lines)
