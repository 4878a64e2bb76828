"""From one pair to another: the four corners, the gate's verdict, who moved, and what unblocks it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from parity import gate, records
from parity.compat.handshake import remedy_code
from parity.core.errors import NotComparableError, UsageError
from parity.core.text import one_line
from parity.gate import Side, Verdict
from parity.gate.verdict import STAY, UPGRADE
from parity.records import PASS, REMEDIED
from parity.upgrade import between
from parity.upgrade.attribution import attribute
from parity.upgrade.between import Between
from parity.upgrade.corners import Corners, Moved
from parity.upgrade.making import Bench, Recorded, on_one_python
from parity.upgrade.pins import Pair, corners, pin


@dataclass(frozen=True)
class Proof:
    """The remedy, and what was checked under it: how many checks, their worst score and the limit of that."""

    requirement: str
    checks: int
    not_in_order: int
    worst_score: float | None
    limit: float | None

    @property
    def code(self) -> str | None:
        """The remedy as code to paste; None where the record names something else than one release."""
        try:
            return remedy_code("==".join(pin(self.requirement)))
        except UsageError:
            return None


@dataclass(frozen=True)
class Upgrade:
    """Everything there is to say of an upgrade.

    `verdict` is None where the gate cannot compare, for the reason `incomparable`; `corners` has None where nothing is
    recorded; `between` is None where nothing has to be unblocked.
    """

    old: Pair
    new: Pair
    corners: dict[str, Recorded | None]
    verdict: Verdict | None
    incomparable: str
    moved: list[Moved]
    proof: Proof | None
    between: Between | None
    on: str
    made: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """That of the gate."""
        return NotComparableError.exit_code if self.verdict is None else self.verdict.exit_code


def upgrade(
    old: Pair, new: Pair, bench: Bench, policy: Path | None, only: str | None = None, recorded: bool = False
) -> Upgrade:
    """Compare two pairs at their four corners; the records that are not there or out of date are made.

    Args:
        old: the pair that there is.
        new: the pair to go to.
        bench: where the records are, and how they are made.
        policy: the gate's; the package's if None.
        only: the Python to use, such as `3.12`.
        recorded: make nothing, and take records that are out of date as well.

    Raises:
        ParityError: the pairs, the policy, a record or the Python cannot be used, or a corner could not be run.
    """
    named, judged_by = corners(old, new), gate.load_policy(policy)
    found, on = _runs(dict.fromkeys(named.values()), bench, only, recorded)
    verdict, incomparable = _verdict(found.get(old), found.get(new), judged_by)
    runs = {pair: one.run for pair, one in found.items()}
    blocked = verdict is not None and verdict.decision == STAY
    moved = attribute(Corners(old, new, runs, judged_by.drift), blocked)
    unmended = new not in found or found[new].outcome.status != PASS
    needed = verdict is None or verdict.decision != UPGRADE or unmended
    python = found[new].cell.python if new in found else None
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Where one package stays, the mixed corners are the pairs themselves.
    shown = {name: pair for name, pair in named.items() if pair not in (old, new) or name in ("old/old", "new/new")}
    return Upgrade(
        old, new, {name: found.get(pair) for name, pair in shown.items()}, verdict, incomparable, moved,
        _proof(found.get(new)), between.look(old, new, bench, python or here, blocked) if needed else None, on,
        tuple(bench.made),
    )  # fmt: skip


def _runs(pairs: dict[Pair, None], bench: Bench, only: str | None, recorded: bool) -> tuple[dict[Pair, Recorded], str]:
    """A record of every pair, on one Python where that can be, and what is to be said of that Python."""
    found = {
        pair: [r for r in bench.find(pair) if (r.current or recorded) and only in (None, r.cell.python)]
        for pair in pairs
    }
    shared = set.intersection(*({r.cell.python for r in records} for records in found.values()))
    if not shared and (recorded or all(found.values())):
        best = {pair: records[0] for pair, records in found.items() if records}
        pythons = sorted({str(one.cell.python) for one in best.values()}, key=Version)
        return best, f"on Python {' and '.join(pythons)}" if best else "by nothing, for nothing is recorded"
    python, why = on_one_python(pairs, found, only)
    best = {pair: _on(python, records) for pair, records in found.items() if records}
    lacking = [pair for pair in pairs if pair not in best]
    if lacking:
        running = ", ".join(pair.cell(python) for pair in lacking)
        bench.show(f"Running on Python {python}, {why}: {running}. Each takes minutes.")
        best |= bench.make(lacking, python)
    if {one.cell.python for one in best.values()} != {python}:
        return best, f"on more than one Python; {python} for what was run, {why}"
    return best, f"on Python {python}, {why}"


def _on(python: str, found: list[Recorded]) -> Recorded:
    return next((one for one in found if one.cell.python == python), found[0])


def _verdict(old: Recorded | None, new: Recorded | None, policy: gate.Policy) -> tuple[Verdict | None, str]:
    for name, one in (("the old", old), ("the new", new)):
        if one is None:
            return None, f"{name} pair has no record"
    assert old is not None
    assert new is not None
    try:
        return gate.judge(_side(old), _side(new), policy), ""
    except NotComparableError as error:
        return None, str(error)


def _side(one: Recorded) -> Side:
    """What the gate reads of a record, settled against the known issues as everything else that is said of it."""
    return gate.from_run(one.run, one_line(str(one.folder / "run.json"), 400))


def _proof(new: Recorded | None) -> Proof | None:
    """What was checked under the remedy, if there is one."""
    if new is None or not new.run.remedies:
        return None
    remedy = new.run.remedies[0]
    mine = [c for c in new.run.checks if c.case == remedy.case and c.tf_device != records.NO_DEVICE]
    bad = sum(c.status not in records.IN_ORDER for c in mine)
    scores = [c.score for c in mine if c.score is not None]
    limits = [c.limit for c in mine if c.limit is not None]
    under = sum(c.status == REMEDIED for c in mine) + bad
    return Proof(remedy.requirement, under, bad, max(scores, default=None), max(limits, default=None))
