"""A run in a child process, watched: whatever becomes of it, a sealed record is left."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from parity import records
from parity.errors import RecordError
from parity.failures import CRASH, TIMEOUT, UNKNOWN, Failure, classify
from parity.records import Check, Run, Stopped

LOG = "log.txt"
PATIENCE_S = 15.0
"""How long an interrupted child may take to seal its own record before it is killed."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code or the negative of a signal, and who ended it."""

    code: int
    timed_out: bool
    interrupted: bool
    peak_mib: int
    log: str


def watch(command: list[str], folder: Path, time_limit_s: float, show: Callable[[str], Any]) -> Ended:
    """Run `command` to its end or to the time limit; its output goes to `folder/log.txt` and to `show`, line by line.

    The child leads a group of its own, which is ended as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    timed_out = threading.Event()
    with (folder / LOG).open("w", encoding="utf-8", errors="backslashreplace") as log, _terminating():
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace",
            start_new_session=True,
        )  # fmt: skip

        def expire() -> None:
            timed_out.set()
            _signal(child, signal.SIGKILL)

        timer = threading.Timer(time_limit_s, expire)
        timer.start()
        interrupted = False
        try:
            _copy(child, log, show)
        except KeyboardInterrupt:
            interrupted = True
            _signal(child, signal.SIGINT)
            _copy_within(PATIENCE_S, child, log, show)
        finally:
            timer.cancel()
            code = child.wait()
            _signal(child, signal.SIGKILL)  # what it left behind
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    return Ended(code, timed_out.is_set() and code == -signal.SIGKILL, interrupted, peak, text)


def _copy(child: subprocess.Popen[str], log: IO[str], show: Callable[[str], Any]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        log.write(line)
        log.flush()
        show(line)


def _copy_within(seconds: float, child: subprocess.Popen[str], log: IO[str], show: Callable[[str], Any]) -> None:
    timer = threading.Timer(seconds, _signal, (child, signal.SIGKILL))
    timer.start()
    try:
        _copy(child, log, show)
    finally:
        timer.cancel()


def _signal(child: subprocess.Popen[str], number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.killpg(child.pid, number)


@contextmanager
def _terminating() -> Iterator[None]:
    """Let a request to terminate be an interrupt, so that a record is sealed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def settle(folder: Path, blank: Run, ended: Ended, time_limit_s: float) -> Run:
    """The record of a run that ended so: what it wrote, or `blank` where it wrote nothing, and what stopped it.

    What was asked when it was stopped is recorded as crashed or timed out; what came after it is missing.
    """
    try:
        run = records.read(folder)
    except RecordError:
        run = blank
    run.stopped = _stopped(run, ended, time_limit_s)
    if run.stopped is not None:
        seen = {check.item for check in run.checks}
        in_flight = next((q for q in run.plan if q.item not in seen), None)
        if in_flight is not None and run.stopped.status in (records.CRASH, records.TIMEOUT):
            what = vars(run.stopped)
            run.checks.append(Check(**vars(in_flight), leaf="*", **what, message=run.stopped.evidence))
    return run


def _stopped(run: Run, ended: Ended, time_limit_s: float) -> Stopped | None:
    if ended.interrupted or run.state == records.INTERRUPTED:
        return Stopped(records.MISSING, "", "interrupted")
    if ended.timed_out:
        return Stopped(records.TIMEOUT, TIMEOUT, f"no end after {time_limit_s:.0f} s")
    if ended.code < 0 or ended.code > 128:
        return Stopped(records.CRASH, CRASH, _signalled(ended))
    if run.state == records.COMPLETE:
        return None
    failure = _said(ended.log)
    return Stopped(records.ERROR, failure.kind, failure.evidence)


def _signalled(ended: Ended) -> str:
    number = -ended.code if ended.code < 0 else ended.code - 128
    name = signal.Signals(number).name if number in {s.value for s in signal.Signals} else f"signal {number}"
    if number == signal.SIGKILL:
        return f"killed ({name}), as when memory runs out; it had used {ended.peak_mib:,} MiB"
    last = _TOLD.findall(ended.log)
    return f"ended by {name}" + (f": {last[-1].strip()}" if last else "")


# What native code says before it aborts, without the thread ids and source lines before it.
_TOLD = re.compile(r"(?m)^.*?(Check failed: .*|LLVM ERROR: .*|Fatal Python error: .*|.*std::bad_alloc.*)$")


def _said(log: str) -> Failure:
    """The failure that a log speaks of, where a process ended before its record did."""
    told = re.findall(r"(?m)^(?:E\s+|!+ .*?|Exit: )?(parity: .*|[\w.]*Error: .*)$", log)
    failure = classify(told[-1] if told else log)
    if failure.kind != UNKNOWN or told:
        return failure
    return Failure(UNKNOWN, (log.strip().splitlines() or ["it said nothing"])[-1])


def python(*arguments: str) -> list[str]:
    """A command of this interpreter, that takes parity from where it is installed and not from the current folder."""
    return [sys.executable, "-I", *arguments]
