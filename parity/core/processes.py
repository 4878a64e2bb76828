"""Processes that answer requests or run to their end, and are ended where they are silent; see `silence`."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from parity.core import silence
from parity.core.errors import RuntimeFailureError
from parity.core.failures import CRASH, TIMEOUT
from parity.core.silence import Silence

BLOCKED = ("jax", "jaxlib", "flax", "optax")


class ProcessEndedError(RuntimeFailureError):
    """The process ended before it answered.

    `status` is the one that its check has in a record; the class of failure has the same name.
    """

    status = CRASH


class ProcessSilentError(ProcessEndedError):
    """The process made no progress, and was ended."""

    status = TIMEOUT


class LineProcess:
    """A process of this Python whose output is read line by line.

    Args:
        name: of the process, for errors.
        arguments: of Python.
        changes: of the environment; None removes a variable.
        errors: the file for its standard error; a temporary one if None.
        limit_s: seconds that it may be silent while this process waits for it; None for the limit of `silence`.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        changes: Mapping[str, str | None] | None = None,
        errors: Path | None = None,
        limit_s: float | None = None,
    ) -> None:
        self._name = name
        self._limit_s = silence.limit_s() if limit_s is None else limit_s
        self._errors: IO[bytes] = tempfile.TemporaryFile() if errors is None else errors.open("w+b")  # noqa: SIM115
        quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
        environment = {**os.environ, **quiet, **(changes or {})}
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={name: value for name, value in environment.items() if value is not None},
        )  # fmt: skip
        assert self._process.stdout is not None
        self._output, self._lines = self._process.stdout.fileno(), b""
        self._readable = selectors.DefaultSelector()
        self._readable.register(self._output, selectors.EVENT_READ)
        self._silent: ProcessSilentError | None = None

    def write_line(self, line: str) -> None:
        """Write a line to its standard input."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; `read_line` reports how

    def read_line(self) -> str | None:
        """Return the next line of its standard output, without its end; None after the last one.

        Raises:
            ProcessSilentError: it was silent for too long, now or before, and was ended.
            ProcessEndedError: it ended, and left the pipe open in another process.
        """
        while b"\n" not in self._lines:
            self._wait()
            part = os.read(self._output, 1 << 16)
            if not part:
                return None
            self._lines += part
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode("utf-8", "replace")

    def exit_code(self) -> int:
        """Return its exit code, or the negative signal that ended it, when it has ended.

        Raises:
            ProcessSilentError: as `read_line`.
        """
        quiet = self._watched()
        while True:
            try:
                return self._process.wait(quiet.interval)
            except subprocess.TimeoutExpired:
                self._require_progress(quiet)

    def ended(self) -> ProcessEndedError:
        """Return the error that says how it ended, when it has ended.

        Raises:
            ProcessSilentError: as `read_line`.
        """
        code = self.exit_code()
        return ProcessEndedError(f"{self._name} ended with code {code}: {silence.last_words(self._printed())}")

    def kill(self) -> None:
        """End the process; reading raises from now on."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and close its files."""
        self.kill()
        self._process.wait()
        self._readable.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for file in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(BrokenPipeError):  # a request that was not read
                file.close()

    def _wait(self) -> None:
        """Wait until there is output, or no more to come."""
        quiet = self._watched()
        size = os.fstat(self._errors.fileno()).st_size
        while not self._readable.select(quiet.interval):
            if self._process.poll() is not None:
                raise self.ended()
            if size != (size := os.fstat(self._errors.fileno()).st_size):
                quiet.heard()
            self._require_progress(quiet)

    def _watched(self) -> Silence:
        if self._silent is not None:
            raise self._silent.with_traceback(None)
        return Silence(self._process.pid, self._limit_s)

    def _require_progress(self, quiet: Silence) -> None:
        if quiet.reached():
            silence.end(self._process.pid)
            place = silence.where(self._printed())
            self._silent = ProcessSilentError(f"{self._name} made {quiet}" + (f" in {place}" if place else ""))
            raise self._silent

    def _printed(self) -> str:
        """Return what it printed to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")


class JsonProcess(LineProcess):
    """A process of this Python that answers requests, one line of JSON each way; see `LineProcess`."""

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; requests are answered in order."""
        self.write_line(json.dumps(request))

    def receive(self) -> dict[str, Any]:
        """Return the next reply.

        Raises:
            ProcessEndedError: the process has ended, or was ended because it was silent.
        """
        line = self.read_line()
        if line is None:
            raise self.ended()
        reply: dict[str, Any] = json.loads(line)
        return reply


def run(
    command: Sequence[str],
    *,
    given: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return its exit code and what it printed.

    Args:
        command: the program and its arguments.
        given: its standard input; that of this process if None.
        cwd: the folder to run it in.
        env: its environment; that of this process if None.
        limit_s: seconds that it may be silent; None for the limit of `silence`.

    Raises:
        OSError: it cannot be started.
        ProcessSilentError: it made no progress, and was ended.
    """
    limit_s = silence.limit_s() if limit_s is None else limit_s
    with subprocess.Popen(
        command, cwd=cwd, env={**(os.environ if env is None else env), "PYTHONFAULTHANDLER": "1"}, text=True,
        stdin=None if given is None else subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        quiet, size, waiting = Silence(process.pid, limit_s), 0, given
        try:
            while True:
                try:
                    output, errors = process.communicate(waiting, quiet.interval)
                    return subprocess.CompletedProcess(command, process.returncode, output, errors)
                except subprocess.TimeoutExpired as pause:
                    waiting = None
                    if size != (size := len(pause.output or "") + len(pause.stderr or "")):
                        quiet.heard()
                    if quiet.reached():
                        silence.end(process.pid)
                        _, errors = process.communicate()
                        place = silence.where(errors)
                        named = " ".join(map(str, command[:4]))
                        raise ProcessSilentError(f"{named} made {quiet}" + (f" in {place}" if place else "")) from None
        finally:
            process.kill()


def replies() -> IO[str]:
    """Return the stream for replies, and send whatever else is printed, also by native code, to standard error."""
    found = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return found


def block_jax() -> None:
    """Let every import of jax, jaxlib, flax and optax fail, as where they are not installed.

    Raises:
        RuntimeError: one of them is already imported.
    """
    for name in BLOCKED:
        if sys.modules.get(name) is not None:
            raise RuntimeError(f"{name} is already imported in the process that must not have it")
        sys.modules[name] = None  # type: ignore[assignment]
