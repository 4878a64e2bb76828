"""What a record holds: the run as a whole, and its verdict."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec

from parity.core.text import plural
from parity.records.levels import FULL, Level
from parity.records.numbers import Number
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
    Row,
    Stopped,
    Timing,
)
from parity.records.statuses import (
    ABORTED,
    ANSWERED,
    COMPLETE,
    CRASH,
    EXPORT,
    IN_ORDER,
    JOINT,
    KNOWN,
    MISSING,
    NO_DEVICE,
    NOUNS,
    REMEDIED,
    SCHEMA,
    TIMEOUT,
    WHOLE,
    WHOLE_AGAIN,
    Mode,
    State,
)

Time = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$")]
"""ISO 8601, UTC."""


class Machine(TypedDict, total=False):
    """The machine that a run ran on; no name of a host or user. See `parity.core.environment.machine`."""

    system: str | None
    architecture: str | None
    python: str | None
    cpu: str | None
    cores: int | None
    instruction_sets: list[str] | None
    affinity: list[int] | None
    governor: str | None
    min_mhz: int | None
    max_mhz: int | None
    memory_bytes: int | None
    load: float | None
    flags: list[str] | None


class Environment(TypedDict, total=False):
    """What a run ran on; empty where it ended before that was known.

    Attributes:
        versions: Installed version by package; null where it is not installed.
        installed: Version of every distribution that is installed.
        machine: Processor, system and Python.
        devices: Devices by framework.
        writer: What JAX writes: StableHLO version and calling convention.
        reader: What TensorFlow reads: StableHLO version and calling convention.
        prediction: What follows from the two: status, class of failure, evidence, and a sentence.
        cell: What the matrix asked for: releases, Python, and where it ran.
        bundle: Of a run that exports: versions of what wrote the bundle, and what JAX writes.
        left_out: What of the suite was left out, and why: by the level, or because it does not apply.
        artifacts: Of each case with an artifact of the user's own, what of it answers what, and what holds each leaf.
        known_issues: The file of known issues of the project, as it was given.
    """

    versions: dict[str, str | None]
    installed: dict[str, str]
    machine: Machine
    devices: dict[str, list[str]]
    writer: dict[str, Any]
    reader: dict[str, Any]
    prediction: dict[str, Any]
    cell: dict[str, Any]
    bundle: dict[str, Any]
    left_out: list[str]
    artifacts: dict[str, dict[str, str]]
    known_issues: str


if TYPE_CHECKING:  # it is filled key by key, from functions that return dictionaries
    Facts = dict[str, Any]
else:
    Facts = Environment


class Run(msgspec.Struct):
    """The record of one environment.

    Attributes:
        cell: Name of the environment.
        started_at: When the run began; ISO 8601, UTC.
        environment: What the run ran on.
        level: How much of the suite was planned; full in records from before there were levels, and of bundles.
        mode: Both frameworks in one environment, a bundle verified without JAX, the bundle for all readers, a bundle
            kept from a past release, or an export.
        inputs: Fingerprint of what the run was made from; empty where none was made.
        schema: Version of this format; a reader refuses a newer one.
        state: How the run ended.
        ended_at: When the run ended; null if that was not seen.
        stopped: Why the run ended before its plan did, seen from outside; null where it ended by itself.
        plan: What was planned, before the first check.
        checks: What was found.
        budgets: What scores are measured by.
        powers: What the probes would catch.
        curves: Recorded series, such as losses.
        handover_costs: What hand-overs cost.
        timings: Latencies.
        footprints: Memory and start.
        profiles: Where leaves are off.
        remedies: The remedies under which cases were exported.
        programs: Exported programs.
        deprecations: Deprecation warnings that were given; null in records from before they were kept.
        spent_s: Seconds by purpose.
    """

    cell: str
    started_at: Time
    environment: Facts
    level: Level = FULL
    mode: Mode = JOINT
    inputs: str = ""
    schema: Annotated[int, msgspec.Meta(extra_json_schema={"const": SCHEMA})] = SCHEMA
    state: State = ABORTED
    ended_at: Time | None = None
    stopped: Stopped | None = None
    plan: list[PlanItem] = []
    checks: list[Check] = []
    budgets: list[BudgetRecord] = []
    powers: list[Power] = []
    curves: list[Curve] = []
    handover_costs: list[HandoverCost] = []
    timings: list[Timing] = []
    footprints: list[Footprint] = []
    profiles: list[Profile] = []
    remedies: list[Remedy] = []
    programs: list[Program] = []
    deprecations: list[Deprecation] | None = []
    spent_s: dict[str, Number] = {}

    def runtimes(self) -> list[str]:
        """Return the runtimes in the order of their first appearance in the plan."""
        return list(dict.fromkeys(place.runtime for place in self.plan or self.checks))

    def all_checks(self) -> list[Check]:
        """Return the checks, and one `missing` for every planned item of which nothing was seen."""
        seen = {check.item for check in self.checks}
        why = "planned, and not seen in this run"
        missing = [item.check(leaf=WHOLE, status=MISSING, message=why) for item in self.plan if item.item not in seen]
        return self.checks + missing

    def counts(self) -> Counter[str]:
        """Return how many checks have each status."""
        return Counter(check.status for check in self.all_checks())

    def in_order(self) -> bool:
        """Return whether the run is complete, compared TensorFlow with JAX, and found nothing out of order."""
        compared_any = self.compared() or self.mode == EXPORT
        ended = self.state == COMPLETE and self.stopped is None
        return ended and compared_any and all(c.status in IN_ORDER for c in self.all_checks())

    def compared(self) -> bool:
        """Return whether TensorFlow answered anything; without that, passing says nothing about the pair."""
        return any(check.tf_device != NO_DEVICE and check.status in ANSWERED for check in self.checks)

    def stop(self, stopped: Stopped | None, current: str | None = None) -> None:
        """Record what stopped the run; an item that a crash or a timeout has interrupted gets a check that says so.

        Args:
            stopped: why; None where the run ended by itself.
            current: the item that was being checked; the first without a check if None.
        """
        self.stopped = stopped
        if stopped is None or stopped.status not in (CRASH, TIMEOUT):
            return
        seen = {check.item for check in self.checks}
        found = next((item for item in self.plan if item.item == current), None)
        if current is None:
            found = next((item for item in self.plan if item.item not in seen), None)
        if found is not None:
            whole = any(check.item == found.item and check.leaf == WHOLE for check in self.checks)
            why = msgspec.structs.asdict(stopped)
            self.checks.append(found.check(leaf=WHOLE_AGAIN if whole else WHOLE, **why, message=stopped.evidence))

    def verdict(self) -> str:
        """Return the verdict in one sentence."""
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
            listed = ", ".join(plural(n, *NOUNS[s]) for s, n in sorted(bad.items()))
            return f"{self._subject()} not in order: {listed}, of {plural(total, 'check')}.{stopped}"
        if stopped:
            return f"No verdict on {self._pair()}.{stopped} {plural(total, 'check')} passed until then."
        if not self.compared():
            on_tensorflow = any(check.tf_device != NO_DEVICE for check in self.all_checks())
            silent = "answered nothing" if on_tensorflow else "was not asked"
            return f"No verdict on {self._pair()}: TensorFlow {silent}. {plural(total, 'check')} in order."
        return self._in_parity(total, counts[KNOWN])

    def _in_parity(self, total: int, known: int) -> str:
        passed = f"{'' if known or total == 1 else 'all '}{plural(total - known, 'check')} passed"
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

    def _subject(self) -> str:
        """Return who is not in order, with the verb: the pair, or runtimes without TensorFlow where only they are."""
        bad = [check for check in self.all_checks() if check.status not in IN_ORDER]
        if any(check.tf_device != NO_DEVICE for check in bad):
            return f"{self._pair()} are"
        *names, last = dict.fromkeys(check.runtime for check in bad)
        return f"With {self._pair()}, {', '.join(names)} and {last} are" if names else f"With {self._pair()}, {last} is"

    def _pair(self) -> str:
        versions = self.environment.get("versions", {})
        jax, tf = (versions.get(name) or "(not installed)" for name in ("jax", "tensorflow"))
        return f"JAX {jax} and TensorFlow {tf}"


EVENTS: dict[str, tuple[str, type[Row]]] = {
    "planned": ("plan", PlanItem),
    "check": ("checks", Check),
    "budget": ("budgets", BudgetRecord),
    "power": ("powers", Power),
    "curve": ("curves", Curve),
    "handover_cost": ("handover_costs", HandoverCost),
    "timing": ("timings", Timing),
    "footprint": ("footprints", Footprint),
    "profile": ("profiles", Profile),
    "remedy": ("remedies", Remedy),
    "program": ("programs", Program),
    "deprecation": ("deprecations", Deprecation),
}
"""By the name of an event in `run.jsonl`: the field of `Run` that it is appended to, and its struct."""
_KINDS = {struct: kind for kind, (_, struct) in EVENTS.items()}
Event = (
    PlanItem | Check | BudgetRecord | Power | Curve | HandoverCost | Timing | Footprint | Profile | Remedy | Program
    | Deprecation
)  # fmt: skip


def append(run: Run, event: Event) -> str:
    """Append `event` to `run`; return its name in `EVENTS`."""
    kind = _KINDS[type(event)]
    getattr(run, EVENTS[kind][0]).append(event)
    return kind
