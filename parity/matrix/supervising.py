"""A run in a child process, watched: whatever becomes of it, a sealed record is left."""

from __future__ import annotations

import codecs
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from parity import records
from parity.core.errors import RecordError
from parity.core.failures import CRASH, TIMEOUT, UNKNOWN, Failure, classify, headline
from parity.records import MISSING, Run, Stopped

LOG = "log.txt"
PATIENCE_S = 15.0
"""How long an interrupted child may take to seal its own record before it is killed."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""
INTERRUPTED = Stopped(MISSING, "", "interrupted")
_LOOK_S = 0.05
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_SET_PARENT_DEATH_SIGNAL = 1


class Interrupt:
    """While it is entered, a request to end this process is only noted, in `asked`, so that records are sealed first.

    What this process was started to ignore, as nohup and a shell's background do, it goes on ignoring.
    """

    asked = False

    def __enter__(self) -> Interrupt:
        heeded = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heeded}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.asked = True


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code or the negative of a signal, who ended it, its peak of memory, and its words."""

    code: int
    timed_out: bool
    interrupted: bool
    peak_mib: int
    log: str


def watch(
    command: list[str], log: Path, time_limit_s: float, show: Callable[[str], Any], interrupt: Interrupt
) -> Ended:
    """Run `command` until it ends, the time is over or an interrupt is asked for.

    Its output is appended to the file `log`, and given to `show` as it comes. It leads a process group of its own,
    nothing of which is left when this returns.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    decode, heard = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode, []
    # The child writes to the file itself, so that nothing which holds its output open can keep this from its end.
    with log.open("ab") as out, log.open("rb") as written:
        written.seek(0, os.SEEK_END)

        def tell() -> None:
            if text := decode(written.read()):
                heard.append(text)
                show(text)

        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            preexec_fn=_begin,  # noqa: PLW1509 - safe in a process of one thread
        )  # fmt: skip
        timed_out = interrupted = False
        deadline = time.monotonic() + time_limit_s
        try:
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    break
                tell()
                if interrupt.asked and not interrupted:
                    interrupted, deadline = True, time.monotonic() + PATIENCE_S
                    os.kill(child.pid, signal.SIGINT)
                elif time.monotonic() > deadline:
                    timed_out = not interrupted
                    _kill(child)
                time.sleep(_LOOK_S)
            child.returncode = os.waitstatus_to_exitcode(status)
        finally:
            _kill(child)  # and what it left behind
            child.wait()
            tell()
    peak = usage.ru_maxrss // (1024**2 if sys.platform == "darwin" else 1024)
    killed = child.returncode == -signal.SIGKILL
    return Ended(child.returncode, timed_out and killed, interrupted, peak, "".join(heard))


def _begin() -> None:
    """In the child, before the command: interrupts are heeded though this process may not, and its end is shared."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # all of it has ended
        os.killpg(child.pid, signal.SIGKILL)


def settle(folder: Path, blank: Run, ended: Ended, time_limit_s: float) -> Run:
    """The record of a run that ended so: what it wrote, or `blank` where it wrote nothing, and what stopped it.

    What was asked when it was stopped is recorded as crashed or timed out; what came after it is missing.
    """
    try:
        run = records.read(folder)
    except RecordError:
        run = blank
    run.stopped = _stopped(run, ended, time_limit_s)
    if run.stopped is not None and run.stopped.status in (records.CRASH, records.TIMEOUT):
        seen = {check.item for check in run.checks}
        in_flight = next((question for question in run.plan if question.item not in seen), None)
        if in_flight is not None:
            what = msgspec.structs.asdict(run.stopped)
            run.checks.append(in_flight.check(leaf="*", **what, message=run.stopped.evidence))
    return run


def _stopped(run: Run, ended: Ended, time_limit_s: float) -> Stopped | None:
    if run.state == records.COMPLETE and ended.code >= 0:
        return None
    failure = said(ended.log, ended.code)
    return cut_short(ended, time_limit_s) or Stopped(records.ERROR, failure.kind, failure.evidence)


def cut_short(ended: Ended, time_limit_s: float) -> Stopped | None:
    """What ended a process before it did so itself; None if nothing did."""
    # parity and pytest have one exit code for an interrupt and for a collection that failed.
    if ended.interrupted or -ended.code in ENDING or (ended.code == 130 and _INTERRUPTED.search(ended.log)):
        return INTERRUPTED
    if ended.timed_out:
        return Stopped(records.TIMEOUT, TIMEOUT, f"no end after {time_limit_s:.0f} s")
    return Stopped(records.CRASH, CRASH, _signalled(ended)) if ended.code < 0 else None


_INTERRUPTED = re.compile(r"(?m)^(?:!+ KeyboardInterrupt !+|parity: interrupted)$")


def _signalled(ended: Ended) -> str:
    name = {known.value: known.name for known in signal.Signals}.get(-ended.code, f"signal {-ended.code}")
    if -ended.code == signal.SIGKILL:
        return f"killed ({name}), as when memory runs out; it had used {ended.peak_mib:,} MiB"
    told = next((found for pattern in _LAST_WORDS if (found := pattern.findall(ended.log))), None)
    return f"ended by {name}" + (f": {headline(told[-1].strip())}" if told else "")


# What native code says before it aborts, without the thread ids and source lines before it; and, where it says nothing,
# what Python says for it.
_LAST_WORDS = (
    re.compile(r"C(?:HECK|heck) failed: .*|Non-OK-status: .*|LLVM ERROR: .*|Assertion .* failed\.|std::bad_alloc"),
    re.compile(r"(?m)^Fatal Python error: .*"),
)


def said(log: str, code: int) -> Failure:
    """The failure that a log speaks of, where a process ended by itself with `code`, and before its record did."""
    told = list(_ERROR.finditer(log))
    if not told:
        failure, last = classify(log), log.strip().rpartition("\n")[2]
        words = f"it ended with code {code}" + (f": {last}" if last else " and said nothing")
        return failure if failure.kind != UNKNOWN else Failure(UNKNOWN, headline(words))
    failure = classify(told[-1][1])
    # Some errors give their reason in the lines that follow.
    return failure if failure.kind != UNKNOWN else classify(log[told[-1].start(1) :])


# As Python and parity print it; E, !!! and Exit are pytest's.
_ERROR = re.compile(r"(?m)^(?:E\s+|!+ .*?|Exit: )?(parity: .*|[\w.]*Error(?:: .*)?)$")


def python(*arguments: str) -> list[str]:
    """A command of this interpreter, that takes parity from where it is installed and not from the current folder.

    What it prints is not held back, and an abort of it says where it was.
    """
    return [sys.executable, "-I", "-u", "-X", "faulthandler", *arguments]
