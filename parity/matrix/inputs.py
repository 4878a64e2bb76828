"""The fingerprint of what a cell's record is made from: equal inputs need no second run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from packaging.version import Version

import parity
from parity import bundles, readers
from parity.cells import Cell
from parity.matrix.building import requirements

# What tells of records, and does not make them.
_APART = (
    "readers.toml",
    "known_issues.toml",
    "known_issues.py",
    "tests",
    "report",
    "matrix",
    "atlas.py",
    "cells.py",
    "cli.py",
    "commands.py",
    "summary.py",
)


def fingerprint(cell: Cell, further: list[str], bundle: Path | None = None) -> str:
    """SHA-256 over what is installed and asked for `cell`, and over the code that makes records.

    Of the table of readers only what is about this cell's release counts, so that a new one does not touch other cells;
    the known issues do not count, because records are held against them again whenever they are joined.
    """
    digest = hashlib.sha256()
    for part in (cell.name, *requirements(cell), *further, *_limits(cell), *_code()):
        digest.update(part.encode() + b"\0")
    if bundle is not None:
        digest.update((bundle / bundles.MANIFEST).read_bytes())
    return digest.hexdigest()


def _code() -> list[str]:
    package = Path(parity.__file__).parent
    files = sorted(p for p in package.rglob("*") if p.suffix in (".py", ".toml"))
    relative = {p: p.relative_to(package) for p in files}
    return [f"{name} {p.read_text(encoding='utf-8')}" for p, name in relative.items() if name.parts[0] not in _APART]


def _limits(cell: Cell) -> list[str]:
    """What the table has on the cell's release, or on its line; what an installed one says of itself is no input."""
    if cell.tensorflow is None:
        return []
    version, listed = Version(cell.tensorflow), readers.table()
    line = [limits for release, limits in listed.items() if Version(release).release[:2] == version.release[:2]]
    return [repr(limits) for limits in ([listed[str(version)]] if str(version) in listed else line[:1])]
