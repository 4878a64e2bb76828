"""Find the newest pair between two pairs that needs no remedy, among what is recorded."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

from packaging.version import Version

from parity.core.errors import ParityError, RecordError
from parity.records import JOINT, MISSING, cells
from parity.records import atlas as atlases
from parity.records.atlas import AGREES, NOT_INSTALLABLE, Row
from parity.upgrade import releases
from parity.upgrade.pairs import JAX, PACKAGES, TENSORFLOW, Pair, other_package
from parity.upgrade.reasons import Finding, Reason
from parity.upgrade.runner import CellRunner, installed_name, pair_of_cell


@dataclass(frozen=True)
class Alternatives:
    """What is known of the pairs between two, both included.

    Attributes:
        finding: the newest pair that passes as exported by default, by jax and then by tensorflow, as a reason code.
        newest: that pair; None if none is known.
        measured: how many pairs have a record.
        total: how many there are by the index; None if the index could not be read.
        command: what measures the pairs that are newer than `newest`; None if all of them are measured.
    """

    finding: Finding
    newest: Pair | None
    measured: int
    total: int | None
    command: str | None


def find_alternatives(old: Pair, new: Pair, runner: CellRunner, python: str, blocked: bool = False) -> Alternatives:
    """Look through the records of `runner` and, for the reference case, the project's atlas.

    A new pair that the gate has `blocked` is no alternative, even if it passes.
    """
    rows = rows_between(old, new, runner)
    passed = {pair: good for pair, found in rows.items() if (good := _passing(found)) and not (blocked and pair == new)}
    newest = max(passed, key=Pair.order, default=None)
    if newest is None:
        finding = Finding("alternatives", Reason.NO_ALTERNATIVE)
    elif newest == old:
        finding = Finding("alternatives", Reason.ONLY_OLD, {"old": str(old)})
    else:
        worst = atlases.score(passed[newest][0]["worst_score"])
        finding = Finding("alternatives", Reason.ALTERNATIVE, {"pair": str(newest), "worst": worst})
    listed = _listed_pairs(old, new, python)
    newer = listed is None or any(newest is None or pair.order() > newest.order() for pair in listed - rows.keys())
    command = bisect_command(newest or old, new, runner.command_options) if newer else None
    total = None if listed is None else len(listed | rows.keys())
    return Alternatives(finding, newest, len(rows), total, command)


def rows_between(old: Pair, new: Pair, runner: CellRunner) -> dict[Pair, list[Row]]:
    """Return the rows of the pairs in between that have an outcome, one per Python; a record replaces the atlas."""
    atlas: dict[str, Row] = {}
    if not runner.options:
        for folder in (runner.project / "reports", runner.reports):
            with suppress(RecordError):
                atlas |= {row["cell"]: row for row in atlases.read(folder / "atlas.json").cells if row["mode"] == JOINT}
    names = runner.names()
    recorded = {pair_of_cell(name) for name in names}
    rows = {name: row for name, row in atlas.items() if pair_of_cell(name) not in recorded}
    rows |= {name: cells.row(run) for name in names if (run := runner.read(name))}
    pairs: dict[Pair, list[Row]] = {}
    for name, row in sorted(rows.items()):
        pair = pair_of_cell(name)
        if pair is not None and pair.in_range(old, new) and row["status"] != MISSING:
            pairs.setdefault(pair, []).append(row)
    return pairs


def _passing(rows: list[Row]) -> list[Row]:
    """Return the rows of a pair on the Pythons that can install it, if it passes on all of these."""
    installed = [row for row in rows if atlases.kind(row) != NOT_INSTALLABLE]
    return installed if all(atlases.kind(row) == AGREES for row in installed) else []


def _listed_pairs(old: Pair, new: Pair, python: str) -> set[Pair] | None:
    """Return the pairs in between that the index has and this Python can install; None if it cannot be read."""
    try:
        jax, tensorflow = (_listed(old, new, package, python) for package in PACKAGES)
    except ParityError:
        return None
    return {Pair(*pair) for pair in product(jax, tensorflow)}


def _listed(old: Pair, new: Pair, package: str, python: str) -> list[str]:
    ends = sorted(Version(getattr(pair, package)) for pair in (old, new))
    if ends[0] == ends[1]:
        return [getattr(old, package)]
    found = releases.list_releases(installed_name(package, old, python), python)
    return [r.version for r in found if ends[0] <= Version(r.version) <= ends[1] and not r.obstacle]


def bisect_command(good: Pair, new: Pair, options: tuple[str, ...]) -> str:
    """Return the command that searches between `good` and `new`: the releases of jax, else of tensorflow."""
    package = JAX if good.jax != new.jax else TENSORFLOW
    other = other_package(package)
    return (
        f"parity bisect {package} --good {getattr(good, package)} --bad {getattr(new, package)} "
        f"--with {shlex.join([f'{other}=={getattr(good, other)}', *options])}"
    )
