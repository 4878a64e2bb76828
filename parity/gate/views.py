"""What the gate reads of a run record, or a baseline.

The views name only the keys that are read, and are strict: a value of another type is an error and never a guess.
Where a check ran (its case, probe, runtime and device) is read from the plan, once per item, which is what makes
50,000 checks quick to read.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from parity.records.vocabulary import NO_DEVICE

# The words of `records.STATUSES` and `records.MODES`, which a type cannot be made of; a test holds them equal.
Status = Literal["pass", "fail", "known", "fixed", "remedied", "error", "crash", "timeout", "missing"]
Mode = Literal["joint", "split", "fleet", "archive", "export"]
State = Literal["complete", "interrupted", "aborted"]
Size = Annotated[float, msgspec.Meta(ge=0)] | Literal["nan", "inf"]
"""A score, limit, budget or smallest error: never negative; non-finite ones are texts, as in every record."""

PAIR = ("jax", "tensorflow")
PACKAGES = (*PAIR, "flax", "optax", "keras", "numpy")
"""Whose versions a verdict names."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an item asks: fields of `records.PlanItem`."""

    item: str
    case: str
    probe: str
    runtime: str
    tf_device: str = NO_DEVICE


class Check(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one leaf: fields of `records.Check`."""

    item: str
    leaf: str
    status: Status
    score: Size | None = None
    limit: Size | None = None
    bits_equal: bool | None = None
    failure: str | None = None
    evidence: str | None = None
    message: str | None = None


class Power(msgspec.Struct, frozen=True, gc=False):
    """The power of a probe in one weight: fields of `records.Power`."""

    case: str
    probe: str
    batch_size: int
    weight: str
    smallest_relative_error: Size


class Budget(msgspec.Struct, frozen=True, gc=False):
    """The error that a leaf may have: fields of `records.BudgetRecord`."""

    case: str
    probe: str
    batch_size: int
    leaf: str
    rms: Size
    max: Size


class Timing(msgspec.Struct, frozen=True, gc=False):
    """A latency in nanoseconds: fields of `records.Timing`."""

    case: str
    runtime: str
    step: str
    batch_size: int
    device: str
    median_ns: Size
    low_ns: Size
    high_ns: Size
    times_ns: list[int]

    @property
    def name(self) -> str:
        """What was timed, as one name."""
        return f"{self.case}: {self.asked} on {self.runtime}"

    @property
    def asked(self) -> str:
        """The same without the case and the runtime."""
        return f"{self.step} at batch size {self.batch_size} ({self.device})"


class Footprint(msgspec.Struct, frozen=True, gc=False):
    """What a runtime takes up: fields of `records.Footprint`."""

    case: str
    runtime: str
    batch_size: int
    peak_memory_bytes: int
    artifact_bytes: int | None = None


class Remedy(msgspec.Struct, frozen=True, gc=False):
    """What mends the default export of a case: fields of `records.Remedy`."""

    case: str
    requirement: str
    failure: str
    evidence: str = ""


class Deprecation(msgspec.Struct, frozen=True, gc=False):
    """A deprecation warning: the fields of `records.Deprecation`."""

    package: str
    message: str


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """What stopped a run: the fields of `records.Stopped`."""

    status: Status
    failure: str
    evidence: str


class Machine(msgspec.Struct, frozen=True, gc=False):
    """What of a machine moves bits and speed, as `environment.machine` tells it.

    `affinity` is empty, `governor` and `max_mhz` are None where the system does not tell; they and `flags` are unset in
    records from before latency was measured.
    """

    system: str | None = None
    architecture: str | None = None
    cpu: str | None = None
    cores: int | None = None
    instruction_sets: tuple[str, ...] | None = None
    affinity: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    governor: str | msgspec.UnsetType | None = msgspec.UNSET
    max_mhz: int | msgspec.UnsetType | None = msgspec.UNSET
    flags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Environment(msgspec.Struct, frozen=True, gc=False):
    """The versions that a run saw, those that its cell names, and its machine."""

    versions: dict[str, str | None] = {}
    cell: dict[str, str | None] = {}
    machine: Machine = Machine()


class RunView(msgspec.Struct, frozen=True, gc=False):
    """Fields of `records.Run`. Records from before there were warnings in them have no `deprecations`."""

    schema: int
    cell: str
    started_at: str
    state: State
    environment: Environment
    plan: list[Place]
    checks: list[Check]
    mode: Mode = "joint"
    stopped: Stopped | None = None
    powers: list[Power] = []
    budgets: list[Budget] = []
    timings: list[Timing] = []
    footprints: list[Footprint] = []
    remedies: list[Remedy] = []
    deprecations: list[Deprecation] | None = None


class Places(msgspec.Struct, frozen=True, gc=False):
    """The checks of a record as places, for what was checked without a plan."""

    checks: list[Place]


class Head(msgspec.Struct, frozen=True, gc=False):
    """What tells whether the rest can be read."""

    schema: int


class Question(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One line of a baseline: an item, and by status the score of every leaf; a case has one limit."""

    item: str
    case: str
    probe: str
    runtime: str
    tf_device: str
    limit: Size | None
    leaves: dict[Status, dict[str, Size | None]]


class Rulers(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One line of a baseline: by leaf the budget as [RMS, maximum], by weight the smallest error that is caught."""

    case: str
    probe: str
    batch_size: int
    budgets: dict[str, tuple[Size, Size]] = {}
    powers: dict[str, Size] = {}


class BaselineView(msgspec.Struct, frozen=True, gc=False):
    """A baseline file; see `parity.gate.baselines`."""

    schema: int
    kind: Literal["baseline"]
    cell: str
    mode: Mode
    versions: dict[str, str | None]
    questions: list[Question]
    rulers: list[Rulers]
    remedies: list[Remedy]
    deprecations: list[Deprecation] | None


BASELINE_SCHEMA = 1
