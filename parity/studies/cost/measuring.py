"""What a command costs, with every process that it starts: wall and CPU seconds, and peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from parity.core import environment, silence
from parity.core.silence import Silence
from parity.records.cost import GIB, Measurement

EVERY_S = 0.25
"""Between two looks at memory."""
LEAST_FREE_BYTES = GIB // 2
"""Memory that must stay available on the machine: it should end the command that takes too much, and no other."""


def measure(
    command: Sequence[str | Path], log: Path, free: Callable[[], int] = lambda: int(psutil.virtual_memory().available)
) -> Measurement:
    """Run a command to its end, and return what it cost.

    A command that makes no progress, see `parity.core.silence`, or leaves too little memory is ended.

    Args:
        command: the program and its arguments.
        log: the file for what it prints.
        free: returns the bytes of memory that the machine has left.
    """
    before, began, peak, failure = environment.load(), time.monotonic(), 0, ""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        quiet, size = Silence(process.pid, silence.limit_s(silence.CELL)), 0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, memory_bytes(process.pid))
            if size != (size := log.stat().st_size):
                quiet.heard()
            if not failure and free() < LEAST_FREE_BYTES:
                failure = (
                    f"ended at {peak / GIB:.1f} GiB, because it left less than {LEAST_FREE_BYTES / GIB:g} GiB free"
                )
                silence.end(process.pid)
            elif not failure and quiet.reached():
                failure = f"ended, because it made {quiet}"
                silence.end(process.pid)
            time.sleep(EVERY_S)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            silence.end(process.pid)
            process.wait()
    if process.returncode and not failure:
        printed = silence.last_words(log.read_text(errors="replace"))
        failure = f"exit code {process.returncode}: {' '.join(printed.split())}"
    return Measurement(
        wall_s=round(time.monotonic() - began, 1),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 1),
        peak_bytes=peak,
        load=(before, environment.load()),
        failure=failure,
    )


def memory_bytes(pid: int) -> int:
    """Return what a process and its descendants hold, or the most that one of them ever held if that is more.

    On Linux, pages that processes share count once among them (Pss in proc(5)); elsewhere they count for each. The
    `ru_maxrss` of wait4(2) cannot serve: a process starts with that of the one that started it.
    """
    held, most = 0, 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                held += _held(one)
                most = max(most, _most_bytes(one.pid))
    return max(held, most)


def _held(process: psutil.Process) -> int:
    if not psutil.LINUX:
        return int(process.memory_info().rss)
    return int(process.memory_full_info().pss)


def _most_bytes(pid: int) -> int:
    """Return the most memory that a process ever held, see proc(5); 0 where the system does not say."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
