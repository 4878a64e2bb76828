"""What native code writes to standard error: kept in a file, out of the terminal, and shown after a crash.

Native code writes to the descriptor, some of it before any setting is read. So the descriptor itself leads to the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from parity.core.errors import ParityError
from parity.core.storage import storage_error

LOG = "log.txt"
"""The name of the file, beside the record."""
WANTED = "TF_CPP_MIN_LOG_LEVEL"
"""A user who sets this variable to 0 or 1 wants to see what the frameworks log."""
NOISE = re.compile(
    r"[IW]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |(INFO|WARNING):(absl|tensorflow):|"
    r"WARNING: All log messages before absl::InitializeLog\(\)"
)
"""The beginnings of log lines below an error, as the Python loggers of absl and TensorFlow write them too."""
LAST = 20
"""Lines that are shown after a crash."""
PATIENCE_S = 5.0
_LAST_LINES = """
import os, sys
log, count = map(int, sys.argv[1:])
if not sys.stdin.buffer.read():
    size = os.fstat(log).st_size
    lines = os.pread(log, 16384, max(0, size - 16384)).splitlines()[-count:]
    if lines:
        os.write(2, b"\\n" + b"\\n".join(lines) + b"\\n")
"""


class NativeLog:
    """A file that takes what is written to standard error in a block; its last lines are shown if this process dies.

    A small process waits for the end of this one: whoever is ended by native code cannot show anything.

    Args:
        path: the file, which is emptied; None for one that nobody sees.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        if path is None:
            self.descriptor, name = tempfile.mkstemp()
            Path(name).unlink()
        else:
            try:
                self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
            except OSError as error:
                raise storage_error(path, error) from error
        # In a session of its own: an interrupt of the terminal does not end it.
        self._process = subprocess.Popen(
            [sys.executable, "-SEc", _LAST_LINES, str(self.descriptor), str(LAST)],
            stdin=subprocess.PIPE, pass_fds=[self.descriptor], start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        """End the process that waits, which shows nothing then, and close the file."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(b".")
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self.descriptor)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Take what is written to the descriptor of standard error in the block."""
        before = os.dup(2)
        os.dup2(self.descriptor, 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)

    def write(self, text: str) -> None:
        """Add text, as far as there is room for it."""
        with suppress(OSError):
            os.write(self.descriptor, text.encode("utf-8", "replace"))

    def size(self) -> int:
        """Return the number of bytes that were taken."""
        return os.fstat(self.descriptor).st_size

    def last_lines(self, since: int = 0) -> str:
        """Return the last lines that were taken after the first `since` bytes."""
        begin = max(since, self.size() - 16384)
        return "\n".join(os.pread(self.descriptor, 16384, begin).decode("utf-8", "replace").splitlines()[-LAST:])


def is_wanted() -> bool:
    """Return whether the user wants to see what the frameworks log."""
    return os.environ.get(WANTED) in ("0", "1")


def leads_to(path: Path) -> bool:
    """Return whether standard output or standard error of this process is the file `path`."""
    with suppress(OSError):
        found = path.stat()
        return any(os.path.samestat(found, os.fstat(descriptor)) for descriptor in (1, 2))
    return False


class _Filtered:
    """A text stream that gives texts which are log lines to a log; a logger writes one at a time."""

    def __init__(self, stream: Any, log: NativeLog) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        if not NOISE.match(text):
            return int(self._stream.write(text))
        self._log.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def kept(folder: Path | None) -> Iterator[None]:
    """Keep what the frameworks log in the block out of standard error, unless the user wants it.

    After an error that is none of this package the last lines are shown: they may say why.

    Args:
        folder: where the file is written; None for nowhere.
    """
    path = None if folder is None else folder / LOG
    if is_wanted() or not _is_open() or (path is not None and leads_to(path)):
        yield
        return
    sys.stderr.flush()
    log = NativeLog(path)
    stream: Any = os.fdopen(os.dup(2), "w", buffering=1) if _is_descriptor(sys.stderr) else sys.stderr
    try:
        with log.taking(), redirect_stderr(_Filtered(stream, log)):  # type: ignore[type-var]
            yield
    except Exception as error:
        if not isinstance(error, ParityError) and (last := log.last_lines()):
            print(last, file=sys.stderr)
        raise
    finally:
        log.close()


def _is_open() -> bool:
    try:
        os.fstat(2)
    except OSError:
        return False
    return sys.stderr is not None


def _is_descriptor(stream: Any) -> bool:
    """Return whether a stream writes to the descriptor of standard error, and not to a test's buffer."""
    try:
        return bool(stream.fileno() == 2)
    except (AttributeError, OSError, ValueError):
        return False
