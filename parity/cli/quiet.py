"""Standard error without what the frameworks log: native log lines below an error, and those of Python's loggers.

Native code writes to the descriptor, some of it before any setting is read. So the descriptor leads through a process
that drops log lines and passes everything else on at once, also what a crash writes last.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

WANTED = "TF_CPP_MIN_LOG_LEVEL"
"""Nothing is dropped where the user has set this variable."""
NOISE = (
    r"[IW]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |(INFO|WARNING):(absl|tensorflow):|"
    r"WARNING: All log messages before absl::InitializeLog\(\)"
)
"""The beginnings of log lines of absl, of TensorFlow, and of their Python loggers, below an error."""
_FILTER = """
import re, sys
noise = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not noise.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
PATIENCE_S = 5.0
"""How long to wait for the last lines; a process that was started here may keep the descriptor open."""


class _Filtered:
    """A text stream that drops texts which are log lines; a logger writes one at a time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if re.match(NOISE, text) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def frameworks() -> Iterator[None]:
    """Drop log lines of the frameworks from standard error in the block, unless the user has set `WANTED`."""
    if WANTED in os.environ or not _is_open(2):
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    # In a session of its own: an interrupt of the terminal ends the block, and the block's last lines still arrive.
    process = subprocess.Popen(
        [sys.executable, "-SEc", _FILTER, NOISE], stdin=subprocess.PIPE, stderr=terminal, start_new_session=True
    )
    assert process.stdin is not None
    stream: Any = os.fdopen(os.dup(terminal), "w", buffering=1) if _is_descriptor(sys.stderr) else sys.stderr
    os.dup2(process.stdin.fileno(), 2)
    process.stdin.close()
    try:
        with redirect_stderr(_Filtered(stream)):  # type: ignore[type-var]
            yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return sys.stderr is not None


def _is_descriptor(stream: Any) -> bool:
    """Return whether a stream writes to the descriptor of standard error, and not to a test's buffer."""
    try:
        return bool(stream.fileno() == 2)
    except (AttributeError, OSError, ValueError):
        return False
