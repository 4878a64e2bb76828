"""The levels of two sides: only what both planned under their level is compared."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from parity.gate import verdict
from parity.gate.side import Side
from parity.gate.verdict import BLOCK, NOTE, Finding
from parity.records.levels import LEVELS, includes
from parity.records.statuses import IN_ORDER


def compare_levels(baseline: Side, candidate: Side) -> Iterator[Finding]:
    """Yield what says that the two have different levels; it blocks where the candidate's is lower."""
    old, new = baseline.level, candidate.level
    what = f"the candidate was run at level {new}, the baseline at level {old}"
    if old == new:
        return
    if includes(new, old):
        detail = f"what {old} leaves out is not compared, and blocks only where it is out of order"
        yield Finding(NOTE, verdict.LEVEL, "", what, detail=detail)
    else:
        detail = f"what {new} leaves out is not known. Run the candidate with --level {old}"
        yield Finding(BLOCK, verdict.LEVEL, "", what, detail=detail)


def common(baseline: Side, candidate: Side) -> tuple[Side, Side]:
    """Return the two with what belongs to the lower of their levels.

    Whatever of the candidate is out of order stays: it needs no baseline to be wrong.
    """
    if baseline.level == candidate.level:
        return baseline, candidate
    level = min(baseline.level, candidate.level, key=LEVELS.index)
    return _within(baseline, level, frozenset()), _within(candidate, level, frozenset(_out_of_order(candidate)))


def _out_of_order(side: Side) -> Iterator[str]:
    """Yield the items of checks that are out of order."""
    return (check.item for check in side.checks.values() if check.status not in IN_ORDER)


def _within(side: Side, level: str, further: frozenset[str]) -> Side:
    """Return what of a side belongs to `level`, and the `further` items."""
    places = {item: p for item, p in side.places.items() if includes(level, side.level_of(item)) or item in further}
    timed = {(p.case, p.runtime, p.variant, p.batch_size) for p in places.values() if p.test == "latency"}
    weighed = {(p.case, p.runtime) for p in places.values() if p.test == "footprint"}
    measured = {key for key, of in side.measure_levels().items() if includes(level, of)}
    return msgspec.structs.replace(
        side,
        places=places,
        checks={key: check for key, check in side.checks.items() if check.item in places},
        powers={key: power for key, power in side.powers.items() if key[:3] in measured},
        budgets={key: budget for key, budget in side.budgets.items() if key[:3] in measured},
        timings={n: t for n, t in side.timings.items() if (t.case, t.runtime, t.step, t.batch_size) in timed},
        footprints={key: footprint for key, footprint in side.footprints.items() if key in weighed},
    )
