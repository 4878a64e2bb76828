"""The fingerprint of what a cell's record is made from: equal inputs need no second run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from packaging.version import Version

import parity
from parity.compat import readers
from parity.export import bundles
from parity.matrix.building import requirements
from parity.records.cells import EXPORT, Cell

# What tells of records, and does not make them.
_TELLING = ("__init__", "atlas", "baseline", "bisect", "doctor", "gate", "matrix", "report", "upgrade")
_APART = (
    "readers.toml",
    "known_issues.toml",
    "known_issues.py",
    "tests",
    "report",
    "atlas.py",
    "cells.py",
    "cli.py",
    "summary.py",
    "gate",
    "upgrade",
    *(f"commands/{name}.py" for name in _TELLING),
    *(f"matrix/{name}.py" for name in ("cluster", "inputs", "joining", "leash", "plan", "scheduling")),
)


def fingerprint(cell: Cell, further: list[str], bundle: Path | None = None) -> str:
    """SHA-256 over what is installed and asked for `cell`, and over the code that makes records.

    Of the table of readers only what is about this cell's release counts, so that a new one does not touch other cells;
    the known issues do not count, because records are held against them again whenever they are joined. Of a user's
    case its one file counts, and not what that imports.
    """
    digest = hashlib.sha256()
    for file in _case_files(further):
        digest.update(file.read_bytes() + b"\0")
    for part in (cell.name, *requirements(cell), *further, *_limits(cell), *_code()):
        digest.update(part.encode() + b"\0")
    if bundle is not None:
        digest.update((bundle if bundle.is_file() else bundle / bundles.MANIFEST).read_bytes())
    return digest.hexdigest()


def _code() -> list[str]:
    package = Path(parity.__file__).parent
    files = sorted(p for p in package.rglob("*") if p.suffix in (".py", ".toml"))
    relative = {p: p.relative_to(package) for p in files}
    makes = {p: name for p, name in relative.items() if not {name.parts[0], name.as_posix()} & set(_APART)}
    return [f"{name} {p.read_text(encoding='utf-8')}" for p, name in makes.items()]


def _case_files(further: list[str]) -> list[Path]:
    """The files of the cases that the options of a run name."""
    named = [Path(text.removeprefix("--case=").rpartition(":")[0]) for text in further]
    return [path for path in named if path.suffix == ".py" and path.is_file()]


def _limits(cell: Cell) -> list[str]:
    """What the table has on the cell's release, or on its line; what an installed one says of itself is no input."""
    release = readers.oldest().partition("==")[2] if cell.role == EXPORT else cell.tensorflow
    if release is None:
        return []
    version, listed = Version(release), readers.table()
    line = [limits for release, limits in listed.items() if Version(release).release[:2] == version.release[:2]]
    return [repr(limits) for limits in ([listed[str(version)]] if str(version) in listed else line[:1])]
