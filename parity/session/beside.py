"""The suites beside tests that xdist distributes: in a process of their own, with the options of this session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

import pytest

from parity.session.plugin import ONLY

PATIENCE_S = 30.0
"""How long an interrupted process may take to seal its record."""
_NOTHING, _FAILED = pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.TESTS_FAILED


class Beside:
    """Runs the suites in another pytest while the workers of this one run the other tests, and adds up the two."""

    def __init__(self, config: pytest.Config) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when its text is shown
        self._text = ""
        further = ["-n0", "--no-header"]
        if junit := getattr(config.option, "xmlpath", None):
            further.append(f"--junit-xml={junit}.parity.xml")  # each process writes its own
        command = [sys.executable, "-m", "pytest", *config.invocation_params.args, *further]
        self._process = subprocess.Popen(
            command, cwd=config.invocation_params.dir, stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, env={**os.environ, ONLY: "1"},
        )  # fmt: skip

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Wait for the suites; the exit code is that of the worse of the two."""
        code = self._end(session.exitstatus == pytest.ExitCode.INTERRUPTED)
        self._output.seek(0)
        self._text = self._output.read().decode("utf-8", "replace")
        self._output.close()
        if session.exitstatus in (pytest.ExitCode.OK, _NOTHING) and code != _NOTHING:
            known = code in list(pytest.ExitCode)
            session.exitstatus = pytest.ExitCode(code) if known else _FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what the other process has shown."""
        terminalreporter.section("the suites of parity, in a process of their own")
        terminalreporter.write(self._text)

    def _end(self, interrupted: bool) -> int:
        if interrupted:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(PATIENCE_S if interrupted else None)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
