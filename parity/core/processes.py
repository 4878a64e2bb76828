"""A process that answers requests: one line of JSON each way."""

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
    """The process ended before it had answered.

    `status` is that of the check in a record, which has the name of the class of failure.
    """

    status = CRASH


class Answering:
    """Such a process, seen from the one that asks.

    Args:
        called: what an error calls it.
        arguments: of this Python.
        changes: of the environment; None removes a variable.
    """

    def __init__(self, called: str, arguments: list[str], changes: Mapping[str, str | None] | None = None) -> None:
        self._called = called
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by close
        quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
        environment = {**os.environ, **quiet, **(changes or {})}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={name: value for name, value in environment.items() if value is not None},
        )  # fmt: skip

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; it is answered in its turn."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended: reading its reply says how

    def receive(self) -> dict[str, Any]:
        """The next reply.

        Raises:
            ProcessEndedError: there will be none.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-3:]
            raise ProcessEndedError(f"{self._called} ended with code {code}: {' / '.join(last)}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """End the process; what it is asked from now on is not answered."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and let go of it."""
        self.kill()
        self._process.communicate()
        self._errors.close()


def replies() -> IO[str]:
    """Where a process that answers writes its replies; what else is printed, by native code too, goes to the errors."""
    found = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return found


def make_jax_impossible() -> None:
    """Let every import of jax and what stands on it fail, as where it is not installed.

    Raises:
        RuntimeError: one of them is already imported.
    """
    for name in BLOCKED:
        if sys.modules.get(name) is not None:
            raise RuntimeError(f"{name} is already imported in the process that must not have it")
        sys.modules[name] = None  # type: ignore[assignment]
