"""The rows of a record: what is planned, checked, measured and noted, one dataclass each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanItem:
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
    `max_ulp` and `bits_equal` compare with JAX's float32 answer. `failure` is a class of `parity.core.failures`, with
    its `evidence`; `known_issue` is the id of the listed issue that the check is an instance of.
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
class HandoverCost:
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
    """The steady latency of one step of one runtime at a batch size, inputs on the device, device work awaited.

    Attributes:
        case, runtime, step, batch_size, device: what was timed; a step is one of `parity.latency.STEPS`.
        median_ns: of `times_ns`; `low_ns` to `high_ns` is its bootstrap interval.
        times_ns: every round in the order measured, outliers included; round i of every runtime ran next to each other.
        narrow: whether the interval was narrow enough before the time or the rounds ended.
        outliers: rounds longer than the third quartile by more than 1.5 times the range between the quartiles.
        ratio: the median over rounds of the time over that of `jax` in the same round; `ratio_low` to `ratio_high` is
            its bootstrap interval, wider by the 2 % that two processes of one program may differ. None for `jax`
            itself, or where it was not timed.
        compile_ns: tracing and compiling before the first call, where the runtime does that apart.
        first_call_ns: the first call; includes compiling where the runtime compiles when it is called.
        transfer_ns: the median time to put the inputs on the device.
        load: the mean number of tasks that wanted a CPU in the minute before measuring ended; None where unknown.
    """

    case: str
    runtime: str
    step: str
    batch_size: int
    device: str
    median_ns: float
    low_ns: float
    high_ns: float
    times_ns: list[int]
    narrow: bool
    outliers: int
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    compile_ns: float | None = None
    first_call_ns: float | None = None
    transfer_ns: float | None = None
    load: float | None = None

    @property
    def name(self) -> str:
        """What was timed, as one name."""
        return f"{self.case}: {self.step} at batch size {self.batch_size} ({self.device}) on {self.runtime}"


@dataclass(frozen=True)
class Footprint:
    """What a runtime costs beside its steps, measured in a process of its own.

    Attributes:
        case, runtime: whose.
        batch_size: the largest that was asked of it, at which its memory peaked.
        import_ns: to import what it needs.
        load_ns: until it could be called: loading the artifact, or converting, or putting parameters on the device.
        first_call_ns: to compile `predict` and call it for the first time.
        peak_memory_bytes: the peak resident set of the process.
        threads: of the process by name, as the operating system has them.
        export_ns, artifact_bytes: of the artifact that it loads; None where it loads none.
    """

    case: str
    runtime: str
    batch_size: int
    import_ns: float
    load_ns: float
    first_call_ns: float
    peak_memory_bytes: int
    threads: dict[str, int]
    export_ns: float | None = None
    artifact_bytes: int | None = None


@dataclass(frozen=True)
class Profile:
    """Where and how much a leaf is off: a histogram and a map of its distances from the oracle, in budgets.

    Attributes:
        item, leaf: the check that it is about.
        case, probe, runtime, batch_size: where that was asked.
        shape: of the leaf.
        edges: the bins of the histogram, ascending; n + 1 of them.
        counts, jax_counts: elements in each of the n bins, of the runtime's answer and of JAX's; a distance of exactly
            zero, or below the first edge, counts in the first bin.
        map: the largest distance of the runtime's answer in each block; the leaf seen as a matrix, its last axis across
            and all others down.
        block: rows and columns of the leaf in a block.
        failed: why it could not be asked again; there is no spread and no map then.
    """

    item: str
    leaf: str
    case: str
    probe: str
    runtime: str
    batch_size: int
    shape: list[int]
    edges: list[float]
    counts: list[int]
    jax_counts: list[int]
    map: list[list[float]]
    block: list[int]
    failed: str = ""


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
    """Why a run ended before its plan did, seen from outside: its status, class of failure and evidence."""

    status: str
    failure: str
    evidence: str
