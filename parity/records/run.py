"""What a record holds: the run as a whole, and the words and rows that it is made of."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from parity.records.rows import (
    BudgetRecord,
    Check,
    Curve,
    Deprecation,
    Footprint,
    HandoverCost,
    PlanItem,
    Power,
    Profile,
    Program,
    Remedy,
    Stopped,
    Timing,
)
from parity.records.vocabulary import (  # noqa: F401 - the record and its words are used as one
    ABORTED,
    ANSWERED,
    ARCHIVE,
    COMPLETE,
    CRASH,
    ERROR,
    EXPORT,
    FAIL,
    FIXED,
    FLEET,
    IN_ORDER,
    INTERRUPTED,
    JOINT,
    KNOWN,
    MISSING,
    MODES,
    NO_DEVICE,
    PASS,
    REMEDIED,
    SCHEMA,
    SPLIT,
    STATUSES,
    TIMEOUT,
)


@dataclass
class Run:
    """The record of one environment.

    `inputs` is the fingerprint of what the run was made from; `stopped` is None where it ended by itself.
    """

    cell: str
    started_at: str
    environment: dict[str, Any]
    mode: str = JOINT
    inputs: str = ""
    schema: int = SCHEMA
    state: str = ABORTED
    ended_at: str | None = None
    stopped: Stopped | None = None
    plan: list[PlanItem] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    budgets: list[BudgetRecord] = field(default_factory=list)
    powers: list[Power] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    hits: list[HandoverCost] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    remedies: list[Remedy] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    deprecations: list[Deprecation] = field(default_factory=list)
    spent_s: dict[str, float] = field(default_factory=dict)

    def all_checks(self) -> list[Check]:
        """The checks, and one `missing` for every planned item of which nothing was seen."""
        seen = {check.item for check in self.checks}
        why = "planned, and not seen in this run"
        missing = [
            Check(**dataclasses.asdict(item), leaf="*", status=MISSING, message=why)
            for item in self.plan
            if item.item not in seen
        ]
        return self.checks + missing

    def counts(self) -> Counter[str]:
        """How many checks have each status."""
        return Counter(check.status for check in self.all_checks())

    def in_order(self) -> bool:
        """Whether the run is complete, compared TensorFlow with JAX, and found nothing out of order."""
        asked = self.compared() or self.mode == EXPORT
        ended = self.state == COMPLETE and self.stopped is None
        return ended and asked and all(c.status in IN_ORDER for c in self.all_checks())

    def compared(self) -> bool:
        """Whether TensorFlow answered anything; without that, passing says nothing about the pair."""
        return any(check.tf_device != NO_DEVICE and check.status in ANSWERED for check in self.checks)

    def verdict(self) -> str:
        """The verdict in one sentence."""
        counts = self.counts()
        total = sum(counts.values())
        bad = {s: n for s, n in counts.items() if s not in IN_ORDER}
        stopped = "" if self.state == COMPLETE else f" The run was {self.state}."
        if self.stopped is not None:
            stopped = f" It was stopped: {self.stopped.evidence.rstrip('.')}."
        if not total and self.mode == EXPORT and not stopped:
            return "The bundle was written."
        if not total:
            return f"Nothing was checked.{stopped}"
        if bad:
            listed = ", ".join(f"{n:,} {s}" for s, n in sorted(bad.items()))
            return f"{self._pair()} are not in order: {listed}, of {total:,} checks.{stopped}"
        if stopped:
            return f"No verdict on {self._pair()}.{stopped} {total:,} checks passed until then."
        if not self.compared():
            asked = any(check.tf_device != NO_DEVICE for check in self.all_checks())
            silent = "answered nothing" if asked else "was not asked"
            return f"No verdict on {self._pair()}: TensorFlow {silent}. {total:,} checks are in order."
        return self._in_parity(total, counts[KNOWN])

    def _in_parity(self, total: int, known: int) -> str:
        passed = f"{total - known:,} checks passed" if known else f"all {total:,} checks passed"
        mended = sum(check.status == REMEDIED for check in self.checks)
        if mended and not self.remedies:
            passed += f", {mended:,} of them only with a remedy"
        if known:
            passed += f", {known:,} failed as listed in the known issues"
        if not self.remedies:
            return f"{self._pair()} are in parity: {passed}."
        first = self.remedies[0]
        return (
            f"{self._pair()} are in parity with a remedy: {passed}. As exported by default they are not: "
            f"{first.failure}, {first.evidence}. Export under "
            f'parity.readable_by("{first.requirement}").'
        )

    def _pair(self) -> str:
        versions = self.environment.get("versions", {})
        jax, tf = (versions.get(name) or "(not installed)" for name in ("jax", "tensorflow"))
        return f"JAX {jax} and TensorFlow {tf}"


EVENTS: dict[str, tuple[str, type]] = {
    "planned": ("plan", PlanItem),
    "check": ("checks", Check),
    "budget": ("budgets", BudgetRecord),
    "power": ("powers", Power),
    "curve": ("curves", Curve),
    "hit": ("hits", HandoverCost),
    "timing": ("timings", Timing),
    "footprint": ("footprints", Footprint),
    "profile": ("profiles", Profile),
    "remedy": ("remedies", Remedy),
    "program": ("programs", Program),
    "deprecation": ("deprecations", Deprecation),
}
_KINDS = {cls: kind for kind, (_, cls) in EVENTS.items()}
Event = (
    PlanItem
    | Check
    | BudgetRecord
    | Power
    | Curve
    | HandoverCost
    | Timing
    | Footprint
    | Profile
    | Remedy
    | Program
    | Deprecation
)


def append(run: Run, event: Event) -> str:
    """Append `event` to `run`; returns its kind."""
    kind = _KINDS[type(event)]
    getattr(run, EVENTS[kind][0]).append(event)
    return kind
