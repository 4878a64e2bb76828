"""A supervised child process: whatever becomes of it, a sealed record is left and no process of its group goes on."""

from __future__ import annotations

import codecs
import ctypes
import math
import os
import re
import resource
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
from parity.core import silence
from parity.core.errors import RecordError
from parity.core.failures import CRASH, TIMEOUT, UNKNOWN, Failure, classify, headline
from parity.core.silence import Silence
from parity.records import MISSING, Run, Stopped

PATIENCE_S = 15.0
"""How long an interrupted child may take to seal its own record before it is killed."""
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""
INTERRUPTED = Stopped(MISSING, "", "interrupted")
_POLL_S = 0.05
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_SET_PARENT_DEATH_SIGNAL = 1


class DeferredInterrupt:
    """A context in which a request to end this process only sets `requested`, so that records are sealed first.

    Signals that this process was started to ignore, as under nohup or in a shell's background, stay ignored.
    """

    requested = False

    def __enter__(self) -> DeferredInterrupt:
        handled = [number for number in END_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in handled}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.requested = True


@dataclass(frozen=True)
class Ended:
    """How a child process ended.

    Attributes:
        code: its exit code, or the negative number of the signal that ended it.
        stopped: what ended it: an interrupt, silence, the time limit or a signal; None where it ended by itself.
        log: its output.
    """

    code: int
    stopped: Stopped | None
    log: str


def watch(
    command: list[str],
    log: Path,
    time_limit_s: float | None,
    show: Callable[[str], Any],
    interrupted: Callable[[], bool],
    silence_s: float | None = None,
    poll: Callable[[], Any] = lambda: None,
) -> Ended:
    """Run `command` to its end, or until it is silent, the time limit or an interrupt, and return how it ended.

    Args:
        command: the program and its arguments.
        log: the file to which its output is appended.
        time_limit_s: seconds after which it is ended; None for no limit.
        show: takes its output, as it comes.
        interrupted: returns whether it is to be interrupted.
        silence_s: seconds of silence after which it is ended; None for the limit of `silence` for a cell.
        poll: called several times a second.
    """
    silence_s = silence.limit_s(silence.CELL) if silence_s is None else silence_s
    log.parent.mkdir(parents=True, exist_ok=True)
    decode, texts = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode, []
    # The child writes to the file itself, not to a pipe: a grandchild that holds the output open delays nothing.
    with log.open("ab") as output, log.open("rb") as written:
        written.seek(0, os.SEEK_END)

        def forward() -> bool:
            if text := decode(written.read()):
                texts.append(text)
                show(text)
            poll()
            return bool(text)

        try:
            code, stopped, usage = supervise(command, output.fileno(), forward, time_limit_s, silence_s, interrupted)
        finally:
            forward()
    text = "".join(texts)
    # parity and pytest have one exit code for an interrupt and for a collection that failed.
    noted = code == 130 and _INTERRUPT_NOTED.search(text)
    if -code in END_SIGNALS or noted:
        stopped = INTERRUPTED
    elif stopped is None and code < 0:
        stopped = Stopped(records.CRASH, CRASH, _describe_signal(code, text, usage))
    elif stopped is not None and stopped.status == records.TIMEOUT and (place := silence.where(text)):
        stopped = msgspec.structs.replace(stopped, evidence=f"{stopped.evidence} in {place}")
    return Ended(code, stopped, text)


_INTERRUPT_NOTED = re.compile(r"(?m)^(?:!+ KeyboardInterrupt !+|parity: interrupted)$")


def supervise(
    command: list[str],
    output: int | None,
    poll: Callable[[], bool],
    time_limit_s: float | None,
    silence_s: float,
    interrupted: Callable[[], bool],
    patience_s: float | None = None,
) -> tuple[int, Stopped | None, resource.struct_rusage]:
    """Run `command` as the leader of a process group, and kill what is left of the group when the leader has ended.

    An interrupt is passed on; the child is killed if it has not ended `patience_s` (default `PATIENCE_S`) later. After
    a limit the leader is aborted, so that a Python with faulthandler prints where it was, and the group is killed.

    Args:
        command: the program and its arguments.
        output: a file descriptor for its output; None for that of this process.
        poll: called several times a second until the child has ended; returns whether there is new output.
        time_limit_s: seconds after which the group is ended; None for no limit.
        silence_s: seconds without progress after which the group is ended; see `silence`.
        interrupted: returns whether the child is to be interrupted.
        patience_s: seconds.

    Returns:
        The exit code or the negative signal; what this function did to end it, if anything; the resources it used.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        preexec_fn=_prepare_child,  # noqa: PLW1509 - safe in a process of one thread
    )  # fmt: skip
    stopped, quiet = None, Silence(child.pid, silence_s)
    deadline = time.monotonic() + (math.inf if time_limit_s is None else time_limit_s)
    try:
        while not _has_ended(child.pid):
            if poll():
                quiet.heard()
            if stopped is None and interrupted():
                stopped, deadline = INTERRUPTED, time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
                os.kill(child.pid, signal.SIGINT)
            elif stopped is not None and time.monotonic() > deadline:
                _kill_group(child.pid)
            elif stopped is None and (time.monotonic() > deadline or quiet.reached()):
                why = f"no end after {time_limit_s:.0f} s" if time.monotonic() > deadline else str(quiet)
                stopped = Stopped(records.TIMEOUT, TIMEOUT, why)
                silence.abort(child.pid)
                _kill_group(child.pid)
            time.sleep(_POLL_S)
    finally:
        # The leader is not waited for yet: until then no other group can get its id.
        _kill_group(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if stopped is not INTERRUPTED and child.returncode not in (-signal.SIGABRT, -signal.SIGKILL):
        stopped = None  # it ended by itself at the last moment
    return child.returncode, stopped, usage


def _prepare_child() -> None:
    """In the child, before the command: accept interrupts, and end when this process ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended, without waiting for it: its id stays its own."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.startswith("Z")  # macOS before Python 3.13


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # only the ended leader is left; macOS has no permission then
        os.killpg(leader, signal.SIGKILL)


def complete_record(folder: Path, blank: Run, ended: Ended) -> Run:
    """Return the record that a run left in `folder`, completed by what stopped it.

    The item that was being checked is recorded as crashed or timed out; later items stay missing.

    Args:
        folder: where the run wrote its record.
        blank: the record to use where the run wrote none.
        ended: how its process ended.
    """
    try:
        run = records.read(folder)
    except RecordError:
        run = blank
    if run.stopped is None:  # a run that was silent has recorded that itself
        run.stop(_why_stopped(run, ended))
    return run


def _why_stopped(run: Run, ended: Ended) -> Stopped | None:
    if run.state == records.COMPLETE and ended.code >= 0:
        return None
    if ended.stopped is not None:
        return ended.stopped
    failure = failure_in_log(ended.log, ended.code)
    return Stopped(records.ERROR, failure.kind, failure.evidence)


def _describe_signal(code: int, log: str, usage: resource.struct_rusage) -> str:
    name = {known.value: known.name for known in signal.Signals}.get(-code, f"signal {-code}")
    if -code == signal.SIGKILL:
        peak_mib = usage.ru_maxrss // (1024**2 if sys.platform == "darwin" else 1024)
        return f"killed ({name}), as when memory runs out; it had used {peak_mib:,} MiB"
    last = next((found for pattern in _LAST_MESSAGE if (found := pattern.findall(log))), None)
    return f"ended by {name}" + (f": {headline(last[-1].strip())}" if last else "")


# What native code prints before it aborts, without thread ids and source lines; else what Python prints.
_LAST_MESSAGE = (
    re.compile(r"C(?:HECK|heck) failed: .*|Non-OK-status: .*|LLVM ERROR: .*|Assertion .* failed\.|std::bad_alloc"),
    re.compile(r"(?m)^Fatal Python error: .*"),
)


def failure_in_log(log: str, code: int) -> Failure:
    """Return the failure that a log shows, of a process that ended by itself with `code` and left no full record."""
    errors = list(_ERROR.finditer(log))
    if not errors:
        failure, last = classify(log), log.strip().rpartition("\n")[2]
        text = f"it ended with code {code}" + (f": {last}" if last else " and printed nothing")
        return failure if failure.kind != UNKNOWN else Failure(UNKNOWN, headline(text))
    failure = classify(errors[-1][1])
    # Some errors give their reason in the lines that follow.
    return failure if failure.kind != UNKNOWN else classify(log[errors[-1].start(1) :])


# As Python and parity print it; E, !!! and Exit are pytest's.
_ERROR = re.compile(r"(?m)^(?:E\s+|!+ .*?|Exit: )?(parity: .*|ERROR: case .*|[\w.]*Error(?:: .*)?)$")


def python(*arguments: str) -> list[str]:
    """Return a command of this interpreter that imports the installed parity, not one in the current folder.

    Its output is not buffered, and a native abort prints the Python stack.
    """
    return [sys.executable, "-I", "-u", "-X", "faulthandler", *arguments]
