"""The fingerprint of what a cell's record is made from: equal inputs need no second run."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import parity
from parity import bundles, known_issues, readers
from parity.cells import Cell
from parity.errors import UsageError
from parity.matrix.building import requirements

# What tells of records, and does not make them.
_APART = ("tests", "report", "matrix", "atlas.py", "cells.py", "cli.py", "commands.py", "summary.py", "readers.toml")


def fingerprint(cell: Cell, further: list[str], bundle: Path | None = None) -> str:
    """SHA-256 over what is installed, asked and listed for `cell`, and over parity's own code.

    Of the tables only what is about this cell's releases counts, so that a new release does not touch other cells.
    """
    digest = hashlib.sha256()
    for part in (cell.name, *requirements(cell), *further, *_listed(cell), *_code()):
        digest.update(part.encode() + b"\0")
    if bundle is not None:
        digest.update((bundle / bundles.MANIFEST).read_bytes())
    return digest.hexdigest()


def _code() -> list[str]:
    package = Path(parity.__file__).parent
    files = sorted(p for p in package.rglob("*") if p.suffix in (".py", ".toml") and p.name != known_issues.LIST.name)
    relative = {p: p.relative_to(package) for p in files}
    return [f"{name} {p.read_text(encoding='utf-8')}" for p, name in relative.items() if name.parts[0] not in _APART]


def _admits(issue: known_issues.KnownIssue, package: str, release: str | None) -> bool:
    wanted = issue.ranges.get(package)
    return wanted is None or release is None or wanted.contains(release, prereleases=True)


def _listed(cell: Cell) -> list[str]:
    releases = {"jax": cell.jax, "tensorflow": cell.tensorflow}
    about = [repr(issue) for issue in known_issues.load() if all(_admits(issue, *pair) for pair in releases.items())]
    with suppress(UsageError):  # a release that the table does not have
        about.append(repr(readers.limits_of(f"tensorflow=={cell.tensorflow}")))
    return about
