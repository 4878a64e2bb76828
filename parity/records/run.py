"""What a record holds: the words it uses, its rows, and the run as a whole."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from parity.words import (  # noqa: F401 - the record and its words are used as one
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


@dataclass(frozen=True)
class Planned:
    """One item of the plan: a question that the run set out to ask."""

    item: str
    case: str
    probe: str
    runtime: str
    batch_size: int
    jax_device: str
    tf_device: str


@dataclass(frozen=True)
class Worst:
    """The element with the largest distance from the oracle: its index and its value on each side."""

    index: list[int]
    value: float
    jax: float
    oracle: float


@dataclass(frozen=True)
class Check:
    """The verdict on one leaf of one probe of one runtime.

    `score` and `jax_score` are distances from the float64 oracle in units of the leaf's budget; `max_abs_diff`,
    `max_ulp` and `bits_equal` compare with JAX's float32 answer. `failure` is a class of `parity.failures`, with its
    `evidence`; `known_issue` is the id of the listed issue that the check is an instance of.
    """

    item: str
    case: str
    probe: str
    runtime: str
    batch_size: int
    jax_device: str
    tf_device: str
    leaf: str
    status: str
    score: float | None = None
    jax_score: float | None = None
    limit: float | None = None
    limit_reason: str | None = None
    max_abs_diff: float | None = None
    max_ulp: int | None = None
    bits_equal: bool | None = None
    worst: Worst | None = None
    failure: str | None = None
    evidence: str | None = None
    known_issue: str | None = None
    message: str | None = None
    repeat: str | None = None


@dataclass(frozen=True)
class BudgetRecord:
    """The error a leaf may have, as RMS and maximum, and where the numbers come from."""

    case: str
    probe: str
    batch_size: int
    leaf: str
    rms: float
    max: float
    source: str


@dataclass(frozen=True)
class Power:
    """The smallest relative error in a weight tensor that a probe would catch; infinite where it is blind."""

    case: str
    probe: str
    batch_size: int
    weight: str
    smallest_relative_error: float


@dataclass(frozen=True)
class Curve:
    """A recorded series: `y` over `x`.

    `handover` is the x at which it took over from the series before; `limit` is the y that it must not pass, where it
    has one, and it is then read on a log scale.
    """

    case: str
    name: str
    series: str
    x_label: str
    x: list[float]
    y: list[float]
    handover: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Hit:
    """What a hand-over costs, beside JAX training on alone with the same batches.

    Attributes:
        case: what is trained.
        way: how it is handed over.
        step: the steps taken before.
        steps: the steps after it that were compared.
        height: the most that the loss of a step lies above JAX's, relative to the mean loss of the last epoch before;
            0 where every loss lies within budget.
        after: steps after the hand-over at which that is; 0 where it never lies above.
        recovered_after: steps after which the mean over an epoch lies above JAX's no more; None if it still does.
        end: the mean loss of the last epoch over that of JAX.
        within: whether every loss lies within budget; None where none was computed.
        power_until: the last step at which an error of 1 % in a weight would be seen; None where nothing was judged.
        kink: the step from which nothing was judged, because its gradients lawfully lie beyond a kink.
        batch_size: examples in a batch.
        seed: of the training.
        accuracy, accuracy_alone: on the test set at the end, and that of JAX alone; None where it was not computed.
    """

    case: str
    way: str
    step: int
    steps: int
    height: float
    after: int
    recovered_after: int | None
    end: float
    within: bool | None = None
    power_until: int | None = None
    kink: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    accuracy: float | None = None
    accuracy_alone: float | None = None


@dataclass(frozen=True)
class Timing:
    """A duration, in nanoseconds."""

    name: str
    median_ns: float
    rounds: int


@dataclass(frozen=True)
class Remedy:
    """The remedy under which a case was exported, and the failure of the default export that called for it.

    `requirement` is what the export was made readable by, such as `tensorflow==2.21.0`.
    """

    case: str
    requirement: str
    failure: str
    evidence: str


@dataclass(frozen=True)
class Program:
    """An exported program of a case: `function` is `predict`, `loss` or `gradient`.

    `sha256` is that of its StableHLO text without source locations, `operations` how often each operation occurs in it,
    by the name and version under which it is serialised, such as `vhlo.custom_call_v2`.
    """

    case: str
    function: str
    sha256: str
    operations: dict[str, int]


@dataclass(frozen=True)
class Deprecation:
    """A deprecation warning, and the package that gave it: `jax`, `tensorflow`, or another."""

    package: str
    message: str


@dataclass(frozen=True)
class Stopped:
    """Why a run ended before its plan did, seen from outside: a status, a class of `parity.failures`, the evidence."""

    status: str
    failure: str
    evidence: str


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
    plan: list[Planned] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    budgets: list[BudgetRecord] = field(default_factory=list)
    powers: list[Power] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
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
            stopped = f" It was stopped: {self.stopped.evidence}."
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
            f'parity.remedies.readable_by("{first.requirement}").'
        )

    def _pair(self) -> str:
        versions = self.environment.get("versions", {})
        jax, tf = (versions.get(name) or "(not installed)" for name in ("jax", "tensorflow"))
        return f"JAX {jax} and TensorFlow {tf}"


EVENTS: dict[str, tuple[str, type]] = {
    "planned": ("plan", Planned),
    "check": ("checks", Check),
    "budget": ("budgets", BudgetRecord),
    "power": ("powers", Power),
    "curve": ("curves", Curve),
    "hit": ("hits", Hit),
    "timing": ("timings", Timing),
    "remedy": ("remedies", Remedy),
    "program": ("programs", Program),
    "deprecation": ("deprecations", Deprecation),
}
_KINDS = {cls: kind for kind, (_, cls) in EVENTS.items()}
Event = Planned | Check | BudgetRecord | Power | Curve | Hit | Timing | Remedy | Program | Deprecation


def append(run: Run, event: Event) -> str:
    """Append `event` to `run`; returns its kind."""
    kind = _KINDS[type(event)]
    getattr(run, EVENTS[kind][0]).append(event)
    return kind
