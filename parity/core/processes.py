"""Processes that answer requests, one line of JSON each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, Any

from parity.core.errors import RuntimeFailureError
from parity.core.failures import CRASH

BLOCKED = ("jax", "jaxlib", "flax", "optax")


class ProcessEndedError(RuntimeFailureError):
    """The process ended before it answered.

    `status` is the one that its check has in a record; the class of failure has the same name.
    """

    status = CRASH


class JsonProcess:
    """A process of this Python that answers requests.

    Args:
        name: of the process, for errors.
        arguments: of Python.
        changes: of the environment; None removes a variable.
    """

    def __init__(self, name: str, arguments: list[str], changes: Mapping[str, str | None] | None = None) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by close
        quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
        environment = {**os.environ, **quiet, **(changes or {})}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={name: value for name, value in environment.items() if value is not None},
        )  # fmt: skip

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; requests are answered in order."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; `receive` reports how

    def receive(self) -> dict[str, Any]:
        """Return the next reply.

        Raises:
            ProcessEndedError: the process has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-3:]
            raise ProcessEndedError(f"{self._name} ended with code {code}: {' / '.join(last)}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """End the process; `receive` raises from now on."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and close its files."""
        self.kill()
        self._process.communicate()
        self._errors.close()


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
