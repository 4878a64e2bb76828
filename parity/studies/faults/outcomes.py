"""The verdict on each planted fault, computed from the record of the checks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from parity import records
from parity.core import storage
from parity.gate import from_run, judge, load_policy
from parity.gate.verdict import BLOCK
from parity.records import Check, PlanItem, Power, Run
from parity.records import published as publications
from parity.records.numbers import short
from parity.runtimes import registry
from parity.runtimes.base import ORACLE
from parity.scoring import rules
from parity.scoring.oracle import BIAS_LIMIT
from parity.studies.faults import GROUPS, HARNESS, Fault
from parity.studies.faults.bench import Bench

FILE = "faults.json"
CAUGHT, BELOW_POWER, NOT_CAUGHT = "caught", "below power", "not caught"


@dataclass(frozen=True)
class Shortfall:
    """The relative error of a weight tensor, and the smallest that a probe would have caught."""

    weight: str
    error: float
    smallest_caught: float
    probe: str
    batch_size: int


@dataclass(frozen=True)
class Outcome:
    """The verdict on one fault, and the check that shows it best.

    Attributes:
        fault: its name.
        group: of `GROUPS`.
        where: what is wrong.
        verdict: `CAUGHT`, `BELOW_POWER` or `NOT_CAUGHT`.
        checks: checks in all.
        red: those not in order.
        probes: the probes that have some.
        check: plan item of the red check that is farthest over its limit; if none is red, of the highest score.
        test, batch_size: what that item is about.
        leaf: the leaf.
        status: its status.
        score: its score; None where it is exact, or ended in an error.
        limit: what the score must not exceed.
        over: the score in units of the limit.
        message: what the check says.
        shortfalls: for a fault below power, why.
    """

    fault: str
    group: str
    where: str
    verdict: str
    checks: int
    red: int
    probes: list[str]
    check: str
    test: str
    batch_size: int
    leaf: str
    status: str
    score: float | None
    limit: float | None
    over: float | None
    message: str | None
    shortfalls: list[Shortfall]

    @property
    def in_order(self) -> bool:
        """Whether the fault was caught, or need not be; a fault in parity itself must be caught."""
        return self.verdict == CAUGHT or (self.verdict == BELOW_POWER and self.group != HARNESS)


def verdict_on(fault: Fault, run: Run, bench: Bench, original: Run) -> Outcome:
    """Return the verdict on a fault from `run`, made with the fault planted, and `original`, made without."""
    checks = run.all_checks()
    red = [check for check in checks if check.status not in records.IN_ORDER]
    if not red and fault.group == HARNESS:
        red = _blocking(original, run, bench.items(fault))
    shortfalls = [] if red else list(_shortfalls(fault, run, bench))
    below = bool(shortfalls) and all(s.error < s.smallest_caught for s in shortfalls)
    strongest = max(red or checks, key=lambda check: _over(check) or -math.inf)
    over = _over(strongest)
    return Outcome(
        fault=fault.name, group=fault.group, where=fault.where,
        verdict=CAUGHT if red else BELOW_POWER if below else NOT_CAUGHT,
        checks=len(checks), red=len(red), probes=sorted({check.probe for check in red}),
        check=strongest.item, test=strongest.test, batch_size=strongest.batch_size, leaf=strongest.leaf,
        status=strongest.status,
        score=short(strongest.score) if over is not None else None,
        limit=_limit(strongest) if over is not None else None,
        over=short(over),
        message=(strongest.evidence or strongest.message) if over is None else None,
        shortfalls=shortfalls if below else [],
    )  # fmt: skip


def _blocking(original: Run, run: Run, plan: list[PlanItem]) -> list[Check]:
    """Return the checks over which the gate blocks: those of the sound run that this run lacks or has worse."""
    items = {item.item for item in plan}
    baseline = msgspec.structs.replace(
        original,
        cell="no fault",
        state=records.COMPLETE,
        plan=plan,
        checks=[c for c in original.checks if c.item in items],
    )
    before, after = (from_run(side, side.cell) for side in (baseline, run))
    findings = judge(before, after, load_policy(None)).findings
    blocked = {(f.item, f.leaf): f for f in findings if f.level == BLOCK}
    return [
        msgspec.structs.replace(
            check, status=records.MISSING, score=None, message=blocked[check.item, check.leaf].sentence
        )
        for check in baseline.checks
        if (check.item, check.leaf) in blocked
    ]


def _limit(check: Check) -> float | None:
    """Return what the check's score is held against."""
    if check.runtime == registry.with_role(ORACLE).name:
        return BIAS_LIMIT
    return 1.0 if check.probe == rules.ACCURACY else check.limit


def _over(check: Check) -> float | None:
    """Return the score in units of the limit; None if the check is exact, or red for another reason."""
    limit = _limit(check)
    if check.score is None or not limit or not math.isfinite(check.score) or not math.isfinite(limit):
        return None
    over = check.score / limit
    return over if over > 1 or check.status in records.IN_ORDER else None


def _shortfalls(fault: Fault, run: Run, bench: Bench) -> Iterable[Shortfall]:
    """Yield the error in each weight tensor beside the published power of the probes that were run.

    Yield nothing if other variables are wrong: power is stated for weights only.
    """
    values = {leaf: variable.numpy() for leaf, variable in bench.variables.items()}
    published = _published(bench)
    errors = fault.equals(values) if fault.equals else bench.moved
    if None in errors.values():
        return
    checked = {(check.probe, check.batch_size) for check in run.checks if check.probe in bench.case.probes}
    for weight, error in sorted(errors.items()):
        powers = [p for probe, size in sorted(checked) for p in published(probe, size) if p.weight == weight]
        best = min(powers, key=lambda p: p.smallest_relative_error)
        smallest = short(best.smallest_relative_error)
        yield Shortfall(weight, short(error or 0.0), smallest, best.probe, best.batch_size)


def _published(bench: Bench) -> Callable[[str, int], list[Power]]:
    """Return a function of a probe and a batch size that gives their power, the worst over the published trainings.

    For a size that was not published, it is the power of this training alone.
    """
    study = publications.load(publications.FALSE_ALARMS) or {"weights": []}
    rows: dict[tuple[str, int], list[Power]] = {}
    for row in study["weights"]:
        found = msgspec.convert({"case": bench.case.name, **records.encode(row)}, Power)
        rows.setdefault((found.probe, found.batch_size), []).append(found)
    return lambda probe, size: rows.get((probe, size)) or bench.study.of(probe, size)


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Count the faults by verdict."""
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in (CAUGHT, BELOW_POWER, NOT_CAUGHT)}


def sentence(outcomes: list[Outcome]) -> str:
    """Return the verdict on the catalogue as a sentence."""
    found, own = counts(outcomes), [outcome for outcome in outcomes if outcome.group == HARNESS]
    parts = [f"{found[CAUGHT]} of {len(outcomes)} planted faults caught"]
    if found[BELOW_POWER]:
        parts.append(f"{found[BELOW_POWER]} below the published power")
    if found[NOT_CAUGHT]:
        parts.append(f"{found[NOT_CAUGHT]} not caught")
    if own:
        parts.append(f"of the {len(own)} in parity itself {sum(o.verdict == CAUGHT for o in own)}")
    return "; ".join(parts) + "."


def write(folder: Path, outcomes: list[Outcome], facts: dict[str, Any]) -> Path:
    """Write the outcomes, sorted, with the facts that they hold for; the same on every run of one machine."""
    rows = [asdict(outcome) for outcome in sorted(outcomes, key=lambda o: (GROUPS.index(o.group), o.fault))]
    document = {
        "schema": publications.SCHEMAS[publications.FAULTS],
        **facts,
        "counts": counts(outcomes),
        "faults": rows,
    }
    path = storage.output_folder(folder) / FILE
    text = json.dumps(records.encode(document), indent=1, allow_nan=False, ensure_ascii=False)
    storage.write_atomically(path, text + "\n")
    return path
