"""The newest pair in between that needs no remedy, from what has been measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

from packaging.requirements import Requirement
from packaging.version import Version

from parity.core.errors import ParityError, RecordError
from parity.matrix import installation
from parity.records import JOINT, MISSING, cells
from parity.records import atlas as atlases
from parity.records.atlas import AGREES, NOT_INSTALLABLE, Row
from parity.records.cells import Cell
from parity.upgrade import releases
from parity.upgrade.making import Bench, of_cell
from parity.upgrade.pins import JAX, PACKAGES, Pair


@dataclass(frozen=True)
class Between:
    """What is known of the pairs between two, both included.

    Attributes:
        newest: the newest pair that passes as exported by default: the newest jax, then the newest tensorflow; None if
            none is known.
        row: what the atlas keeps of it.
        measured: how many pairs have been measured.
        total: how many there are by the index; None if it could not be asked.
        unmeasured: whether a pair that is newer than `newest` has not been measured, as far as is known.
        options: what a command must be given to use these records, and to make others like them.
    """

    newest: Pair | None
    row: Row | None
    measured: int
    total: int | None
    unmeasured: bool
    options: tuple[str, ...] = ()


def look(old: Pair, new: Pair, bench: Bench, python: str, blocked: bool = False) -> Between:
    """What the records of `bench` and, for the reference case, the atlas of the project know.

    A new pair that the gate has `blocked` is not proposed, even where it passes.
    """
    rows = known(old, new, bench)
    passed = {pair: good[0] for pair, found in rows.items() if (good := _good(found)) and not (blocked and pair == new)}
    newest = max(passed, key=Pair.order, default=None)
    row = None if newest is None else passed[newest]
    listed = _listed(old, new, python)
    if listed is None:
        return Between(newest, row, len(rows), None, True, bench.asked)
    unmeasured = any(newest is None or pair.order() > newest.order() for pair in listed - rows.keys())
    return Between(newest, row, len(rows), len(listed | rows.keys()), unmeasured, bench.asked)


def known(old: Pair, new: Pair, bench: Bench) -> dict[Pair, list[Row]]:
    """The rows of the pairs in between that were seen, one per Python; of the atlas only where a pair has no record."""
    found: dict[str, Row] = {}
    if not bench.options:
        for folder in (bench.project / "reports", bench.reports):
            with suppress(RecordError):
                found |= {row["cell"]: row for row in atlases.read(folder / "atlas.json").cells if row["mode"] == JOINT}
    pairs: dict[Pair, list[Row]] = {}
    names = {path.parent.name for path in bench.reports.glob("*jax*-tf*/run.json*")}
    recorded = {of_cell(name) for name in names}
    rows = {name: cells.row(run) for name in names if (run := bench.read(name))}
    rows |= {name: row for name, row in found.items() if of_cell(name) not in recorded}
    for name, row in sorted(rows.items()):
        pair = of_cell(name)
        if pair is not None and old.between(new, pair) and row["status"] != MISSING:
            pairs.setdefault(pair, []).append(row)
    return pairs


def _good(rows: Iterable[Row]) -> list[Row]:
    """Those rows of a pair that agree, if it does wherever it can be installed."""
    installed = [row for row in rows if atlases.kind(row) != NOT_INSTALLABLE]
    return installed if all(atlases.kind(row) == AGREES for row in installed) else []


def _listed(old: Pair, new: Pair, python: str) -> set[Pair] | None:
    """The pairs in between of the releases that the index has for that Python; None if it cannot be asked."""
    try:
        sides = {package: in_range(old, new, package, python) for package in PACKAGES}
    except ParityError:
        return None
    return {Pair(jax, tensorflow) for jax, tensorflow in product(*sides.values())}


def in_range(old: Pair, new: Pair, package: str, python: str) -> list[str]:
    """The releases of `package` from the one of `old` to that of `new`, without what cannot be installed."""
    ends = sorted(Version(getattr(pair, package)) for pair in (old, new))
    if ends[0] == ends[1]:
        return [getattr(old, package)]
    found = releases.listed(installs(package, old, python), python)
    return [r.version for r in found if ends[0] <= Version(r.version) <= ends[1] and not r.obstacle]


def installs(package: str, pair: Pair, python: str) -> str:
    """The name under which `package` is installed here."""
    names = [Requirement(text).name for text in installation.requirements(Cell.parse(pair.cell(python)))]
    return next(name for name in names if name.startswith(package))


def measure(found: Between, old: Pair, new: Pair) -> str:
    """The command that measures what is newer than the newest known pair."""
    good = found.newest or old
    package = JAX if good.jax != new.jax else "tensorflow"
    [other] = [name for name in PACKAGES if name != package]
    return (
        f"parity bisect {package} --good {getattr(good, package)} --bad {getattr(new, package)} "
        f"--with {shlex.join([f'{other}=={getattr(good, other)}', *found.options])}"
    )


def counted(found: Between) -> str:
    """How many of the pairs in between have been measured, in words."""
    total = "of the pairs" if found.total is None else f"of the {found.total:,} pairs"
    unknown = " (the index could not be asked how many there are)" if found.total is None else ""
    return f"{total} between them, both included, {found.measured:,} have been measured{unknown}"
