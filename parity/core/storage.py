"""Files written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from parity.core.errors import StorageError, UsageError

ESCAPED = "backslashreplace"
"""The error handler of encoding: lone surrogates, of file names that are not UTF-8, become escapes that JSON reads."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` by an atomic rename; on failure the old file stays.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8", ESCAPED))


def replace_between(path: Path, markers: tuple[str, str], text: str) -> None:
    """Replace the text between two markers in a file; the rest keeps every byte.

    Raises:
        UsageError: as `require_markers`.
        StorageError: the file cannot be written.
    """
    before, after = require_markers(path, markers)
    write_atomically(path, f"{before}\n{text}\n{after}")


def require_markers(path: Path, markers: tuple[str, str]) -> tuple[str, str]:
    """Return what a file has up to the first marker and from the second, both with it.

    Raises:
        UsageError: the file cannot be read, or does not have both markers once, in order.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}. Expected a text file with the line {markers[0]}.") from error
    head, began, rest = text.partition(markers[0])
    _, ended, tail = rest.partition(markers[1])
    if not ended or any(text.count(marker) != 1 for marker in markers):
        raise UsageError(
            f"{path} has no place for the text. Expected one line {markers[0]} and, after it, one line {markers[1]}; "
            "the text between them is replaced."
        )
    return head + began, ended + tail


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` by an atomic rename; on failure the old file stays.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    import tempfile  # with what it imports it takes longer than to read a small record

    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error to raise when writing `path` failed."""
    reason = error.strerror or str(error)
    return StorageError(
        f"cannot write {path}: {reason}. Expected a writable folder with free space; "
        "free some, or choose another with --out."
    )


def output_folder(path: Path) -> Path:
    """Make the folder `path` where it does not exist, and return it.

    Raises:
        UsageError: it is a file, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path} is a file; --out expects a folder. Name another, or remove it.") from error
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}. Choose another with --out.") from error
    return path
