"""Bundles as single files, and archives of them: exports of past jax releases that later TensorFlows must read.

fixtures/bundles/jax0.9.2.tar.xz    a bundle, as `parity export` writes it to a path with this suffix
fixtures/bundles/SHA256SUMS         a line for each archived bundle, as `sha256sum` writes and checks it
"""

from __future__ import annotations

import lzma
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from parity.core import storage
from parity.core.errors import RecordError, StorageError, UsageError
from parity.records.cells import is_version

SUFFIX = ".tar.xz"
SUMS = "SHA256SUMS"
_LINE = re.compile(rf"(?P<sha256>[0-9a-f]{{64}})  jax(?P<jax>\d[\w.]*?){re.escape(SUFFIX)}", re.ASCII)


def is_packed(path: Path) -> bool:
    """Return whether the name is that of a bundle in one file."""
    return path.name.endswith(SUFFIX)


def pack(folder: Path, path: Path) -> None:
    """Write the files of `folder` to `path` as one compressed file; equal files give equal bytes.

    Raises:
        StorageError: it cannot be written; nothing is left behind.
    """
    with storage.replacing(path) as file, tarfile.open(fileobj=file, mode="w:xz", preset=9) as packed:
        for each in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(each.relative_to(folder).as_posix())  # without times and owners
            entry.size = each.stat().st_size
            with each.open("rb") as content:
                packed.addfile(entry, content)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the folder with the files of `path`: a temporary one where it is a file, or else `path` itself.

    Raises:
        RecordError: the file is cut off, damaged, no such archive, or would write outside of its folder.
        StorageError: there is no room for its files.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="parity-bundle-", ignore_cleanup_errors=True) as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with lzma.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # not in the first releases of Python 3.10
            entries = packed.getmembers()
            if strange := [entry.name for entry in entries if not entry.isreg() or not _is_inside(entry.name)]:
                raise RecordError(f"{path} has {strange[0]!r} in it. Expected files with relative names; get it again.")
            packed.extractall(folder, entries)
            while stream.read(1 << 20):  # tar ends before xz does, and only its last bytes tell that all came
                pass
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise RecordError(f"{path} is no bundle in one file, or damaged: {error}. Get it again.") from None
    except OSError as error:
        raise StorageError(
            f"cannot unpack {path}: {error.strerror or error}. Expected a readable file, and room for its files in "
            f"{tempfile.gettempdir()}."
        ) from error


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def path_of(archive: Path, jax: str) -> Path:
    """Return the path at which the folder `archive` has the export of that jax release."""
    return archive / f"jax{jax}{SUFFIX}"


def listed(archive: Path) -> dict[str, str | None]:
    """Return the SHA-256 of what has been archived, by jax release; None for a file that is not listed.

    Raises:
        RecordError: there is no list, a line of it cannot be read, or a file is named by no release.
    """
    try:
        lines = (archive / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RecordError(f"{archive} is no archive: {error}. Expected a folder of bundles with {SUMS}.") from None
    found: dict[str, str | None] = {}
    for number, line in enumerate(lines, 1):
        entry = _LINE.fullmatch(line)
        if entry is None or not is_version(entry["jax"]) or entry["jax"] in found:
            raise RecordError(
                f"{archive / SUMS}, line {number}: {line!r}. Expected a SHA-256, two spaces, and a name such as "
                f"jax0.9.2{SUFFIX}, each name once. Restore the file."
            )
        found[entry["jax"]] = entry["sha256"]
    there = [each.name[: -len(SUFFIX)].removeprefix("jax") for each in archive.glob(f"jax*{SUFFIX}")]
    if strange := [jax for jax in there if not is_version(jax)]:
        raise RecordError(f"{path_of(archive, strange[0])} is named by no jax release. Remove or rename it.")
    return {**dict.fromkeys(sorted(there)), **found}


def require_unaltered(path: Path) -> None:
    """Check a bundle in one file against the list beside it, if there is one that names it.

    Raises:
        RecordError: it has another SHA-256 there.
    """
    try:
        lines = (path.parent / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    sums = [line.partition(" ")[0] for line in lines if line.endswith(f"  {path.name}")]
    if sums and set(sums) != {storage.sha256(path)}:
        raise RecordError(f"{path} was altered: expected the SHA-256 that {SUMS} beside it has. Restore the file.")


def require_new(path: Path) -> None:
    """Refuse to replace what has been archived at `path`; archived bundles are immutable, even if only listed.

    Raises:
        UsageError: it has been.
        RecordError: the list cannot be read.
    """
    known = listed(path.parent) if (path.parent / SUMS).exists() else {}
    if path.exists() or path in (path_of(path.parent, jax) for jax in known):
        raise UsageError(
            f"{path} is archived, and archived bundles are immutable. To archive another in its place, remove it and "
            f"its line in {SUMS} first."
        )


def enlist(path: Path) -> None:
    """Add the bundle at `path` to the list of its archive."""
    with (path.parent / SUMS).open("a+", encoding="utf-8") as file:
        file.seek(0)
        ended = file.read()[-1:] in ("", "\n")
        file.write(f"{'' if ended else chr(10)}{storage.sha256(path)}  {path.name}\n")
