"""A second process that ends a run which is silent, and records where it was.

A thread could not do it: native code that hangs may hold Python's lock. `Watchdog` is the side of the run, and a pytest
plugin; `python -m parity.session.watchdog` is the process. Both see progress as `parity.core.silence` defines it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.core import silence
from parity.core.silence import Silence

if TYPE_CHECKING:
    from parity.records import Run

_DUMP: Any = getattr(signal, "SIGRTMAX", getattr(signal, "SIGUSR2", None))
"""The signal at which the run writes its stacks into a file and goes on: one that hardly anything else uses."""
_POLL_S = 0.1
_NAME = "parity-watchdog"


class Watchdog:
    """The process that watches this one, until `close`.

    Args:
        out: the folder of the record; None where there is none.
        cell: the name of the environment in the record.
        limit_s: seconds of silence.
    """

    def __init__(self, out: Path | None, cell: str, limit_s: float) -> None:
        self._item = ""
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        faulthandler.register(_DUMP, self._stacks, all_threads=True)
        arguments = [str(os.getpid()), str(limit_s), str(self._stacks.fileno()), str(out or ""), cell]
        # In a session of its own: Ctrl-C and Ctrl-Z in the terminal are for the run.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "parity.session.watchdog", *arguments],
            stdin=subprocess.PIPE, pass_fds=[self._stacks.fileno()], start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def tell(self, item: str, waits: bool = False) -> None:
        """Say which item runs now, empty for none, and whether the run waits for its user."""
        with suppress(OSError):  # it has ended, or has not read yet
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), json.dumps([item, waits]).encode() + b"\n")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        faulthandler.unregister(_DUMP)
        self._stacks.close()

    def pytest_runtest_protocol(self, item: Any) -> None:
        """Tell which item runs."""
        from parity.session.collecting import plan_item

        found = plan_item(item)
        self._item = found.item if found else ""
        self.tell(self._item)

    def pytest_runtest_logfinish(self) -> None:
        """Tell that none runs."""
        self.tell("")

    def pytest_enter_pdb(self) -> None:
        """Wait for a user in a debugger."""
        self.tell(self._item, waits=True)

    def pytest_leave_pdb(self) -> None:
        """Go on."""
        self.tell(self._item)

    def pytest_unconfigure(self) -> None:
        """End the process with the session."""
        self.close()


def watch(config: Any, out: Path | None, cell: str) -> None:
    """Watch the pytest session of `config`, unless the debugger of an editor is attached.

    Raises:
        UsageError: the limit in the environment is no number of seconds.
    """
    limit_s = silence.limit_s(silence.RUN)
    without = "pydevd" in sys.modules or not hasattr(faulthandler, "register")  # the latter on Windows
    if without or config.pluginmanager.has_plugin(_NAME):
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # it writes to the standard error of the session
        config.pluginmanager.register(Watchdog(None if config.option.collectonly else out, cell, limit_s), _NAME)


def main(pid: int, limit_s: float, stacks: int, out: Path | None, cell: str) -> None:
    """Watch a run until standard input ends, and end it when it is silent.

    Args:
        pid: of the run, the parent process.
        limit_s: seconds of silence.
        stacks: a descriptor of the file that it writes stacks to.
        out: the folder of its record, if it has one.
        cell: the name of the environment in the record.
    """
    quiet, item, waits, lines = Silence(pid, limit_s), "", False, b""
    while not quiet.reached():
        if select.select([0], [], [], quiet.interval)[0]:
            part = os.read(0, 1 << 16)
            if not part:
                return
            *told, lines = (lines + part).split(b"\n")
            for line in told:
                item, waits = json.loads(line)
        elif os.getppid() != pid:
            return  # a process that the run has forked holds the pipe open
        elif not waits:
            continue
        quiet.heard()
    from parity import report
    from parity.records import files

    place = silence.where(_dump(pid, stacks))
    evidence = str(quiet) + (f" in {place}" if place else "")
    if os.getppid() != pid:
        return  # it has come to its end now
    print(f"parity: {item or 'the run'} made {evidence}. The run is ended.", file=sys.stderr, flush=True)
    run = None
    try:
        if out is not None and not (out / files.SEALED).exists():
            run = seal(out, cell, item, evidence)  # before who supervises the run sees it end
    finally:
        silence.end(pid)
    if out is not None and run is not None:
        report.write_if_installed([run], out / files.PAGE)


def _dump(pid: int, stacks: int) -> str:
    """Return the stacks that a process writes when it is asked; empty where it does not."""
    with suppress(OSError):
        os.kill(pid, _DUMP)
    before, until = -1, time.monotonic() + silence.LAST_WORDS_S
    while (size := os.fstat(stacks).st_size) != before or not size:
        if time.monotonic() > until:
            break
        before = size
        time.sleep(_POLL_S)
    return os.pread(stacks, size, 0).decode("utf-8", "replace")


def seal(out: Path, cell: str, item: str, evidence: str) -> Run:
    """Seal the record of a run that was silent, and return it.

    Args:
        out: its folder; it has no record where the run was silent before its plan.
        cell: the name of the environment.
        item: the item that was being checked; empty if none was.
        evidence: where it was.
    """
    from parity import records
    from parity.core.errors import RecordError
    from parity.core.failures import TIMEOUT
    from parity.records import files

    run = records.Run(cell=cell, started_at=records.now(), environment={})
    with suppress(RecordError):
        run = records.read(out / files.STREAM)
    run.stop(records.Stopped(records.TIMEOUT, TIMEOUT, evidence), item or None)
    run.ended_at = records.now()
    records.seal(out, run)
    return run


if __name__ == "__main__":
    main(
        int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) if sys.argv[4] else None, sys.argv[5]
    )
