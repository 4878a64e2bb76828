"""The rows of a record: what is planned, checked, measured and noted, one struct each.

The JSON Schema is generated from these structs and their docstrings; see `parity.records.schema`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from parity.core.failures import CLASSES
from parity.records.levels import FULL, Level
from parity.records.numbers import Count, Number, Size
from parity.records.statuses import NO_DEVICE, Status

FailureClass = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(CLASSES)})]
"""A class of `parity.core.failures`; a reader accepts others, since a later release may have more."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """Any row. Rows hold no cycles, so the garbage collector need not track them."""


class Place(Row, frozen=True, gc=False, kw_only=True):
    """Where a check belongs: what was tested, how, and on what.

    Attributes:
        item: Name of the pytest item, the same in the plan and in its checks.
        test: Name of the test without `test_`, such as predict, power, relations or latency.
        case: What is under test.
        probe: What is asked, such as predict or eval_gradient.
        variant: What within the test: the relation, defect, operation, optimizer, hand-over method or latency step, or
            sizes of the inputs beside the batch size, such as t=7; empty where there is only one.
        runtime: Who is asked, such as saved_model.
        batch_size: Number of examples; 0 in a plan stands for the whole test set.
        jax_device: Device of JAX, such as cpu:0.
        tf_device: Device of TensorFlow; `none` where only JAX is asked.
    """

    item: str
    test: str
    case: str
    probe: str
    variant: str = ""
    runtime: str
    batch_size: Count
    jax_device: str
    tf_device: str = NO_DEVICE

    @property
    def sizes(self) -> str:
        """The sizes beside the batch size that it is about, such as `t=7`; empty for those of the examples."""
        return self.variant if "=" in self.variant else ""


class PlanItem(Place, frozen=True, gc=False, kw_only=True):
    """One item of the plan.

    Attributes:
        level: The lowest level that has it; full in records from before there were levels.
    """

    level: Level = FULL

    def check(self, **found: Any) -> Check:
        """Return a check of this item; `found` are its other fields, and replacements."""
        return Check(**{**{name: getattr(self, name) for name in Place.__struct_fields__}, **found})


class Worst(Row, frozen=True, gc=False):
    """The element with the largest distance from the oracle.

    Attributes:
        index: Index of the element.
        value: Its value in the runtime's answer.
        jax: Its value in JAX's float32 answer.
        oracle: Its value in the float64 oracle.
    """

    index: list[Count]
    value: Number
    jax: Number
    oracle: Number


class Check(Place, frozen=True, gc=False, kw_only=True):
    """The verdict on one leaf of one probe of one runtime.

    Attributes:
        leaf: Name of the array, such as Conv_0/kernel; * stands for the whole answer.
        status: The verdict; pass, known and remedied are in order.
        score: Distance from the float64 oracle, in units of the leaf's budget.
        jax_score: The same of JAX's float32 answer.
        limit: Largest score that passes.
        limit_reason: Why the case has a limit of its own.
        max_abs_diff: Largest absolute difference from JAX's float32 answer.
        max_ulp: Largest difference from JAX's answer, in representable numbers.
        bits_equal: Whether all bits agree with JAX's answer.
        worst: Where the largest distance is.
        failure: Class of the failure, from evidence.
        evidence: The operation or version that the failure names.
        known_issue: Id of the listed issue that the check matches.
        message: Why the check did not pass.
        repeat: The command that repeats the check.
    """

    leaf: str
    status: Status
    score: Size | None = None
    jax_score: Size | None = None
    limit: Size | None = None
    limit_reason: str | None = None
    max_abs_diff: Number | None = None
    max_ulp: Count | None = None
    bits_equal: bool | None = None
    worst: Worst | None = None
    failure: FailureClass | None = None
    evidence: str | None = None
    known_issue: str | None = None
    message: str | None = None
    repeat: str | None = None


class BudgetRecord(Row, frozen=True, gc=False):
    """The error that a leaf may have at score 1.

    Attributes:
        case: What is under test.
        probe: What is asked.
        batch_size: Number of examples.
        leaf: Name of the array.
        rms: Root mean square over the leaf's elements.
        max: Maximum over the leaf's elements.
        source: Where the numbers come from.
    """

    case: str
    probe: str
    batch_size: Count
    leaf: str
    rms: Size
    max: Size
    source: str


class Power(Row, frozen=True, gc=False):
    """The smallest relative error in a weight tensor that a probe would catch.

    Attributes:
        case: What is under test.
        probe: What is asked.
        batch_size: Number of examples.
        weight: Name of the weight tensor.
        smallest_relative_error: Relative to the tensor's values; inf where the probe catches none.
    """

    case: str
    probe: str
    batch_size: Count
    weight: str
    smallest_relative_error: Size


class Curve(Row, frozen=True, gc=False):
    """A recorded series: y over x.

    Attributes:
        case: What is under test.
        name: What is plotted, such as evaluation loss; series of one name share a plot.
        series: Whose values these are.
        x_label: What x is.
        x: Positions.
        y: Values, as many as positions.
        handover: The x at which the series took over from the one before; null if it did not.
        limit: The y that it must not pass, on a log scale; null if there is none.
    """

    case: str
    name: str
    series: str
    x_label: str
    x: list[Number]
    y: list[Number]
    handover: Number | None = None
    limit: Number | None = None


class HandoverCost(Row, frozen=True, gc=False):
    """What a hand-over costs, beside JAX training on alone with the same batches.

    Attributes:
        case: What is trained.
        method: How it is handed over.
        step: Steps taken before.
        steps: Steps after it that were compared.
        height: Largest rise of the loss of a step above JAX's, relative to the mean loss of the last epoch before; 0
            where every loss lies within budget.
        after: Steps after the hand-over at which that is; 0 where the loss never lies above.
        recovered_after: Steps after which the mean over an epoch no longer lies above JAX's; null if it still does.
        end: Mean loss of the last epoch over that of JAX.
        within: Whether every loss lies within budget; null where no budget was computed.
        power_until: The last step at which an error of 1 % in a weight would be seen; null where nothing was judged.
        kink: The step from which nothing was judged, because gradients may differ beyond a kink.
        batch_size: Examples in a batch.
        seed: Of the training.
        accuracy: On the test set at the end; null where it was not computed.
        accuracy_alone: That of JAX alone.
    """

    case: str
    method: str
    step: Count
    steps: Count
    height: Number
    after: Count
    recovered_after: int | None
    end: Number
    within: bool | None = None
    power_until: int | None = None
    kink: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    accuracy: Number | None = None
    accuracy_alone: Number | None = None


class Timing(Row, frozen=True, gc=False):
    """The steady latency of one step of one runtime: inputs on the device, device work awaited. Times in nanoseconds.

    Attributes:
        case: What was timed.
        runtime: Who ran it.
        step: One of `parity.latency.STEPS`.
        batch_size: Examples in a batch.
        device: Where it ran.
        median_ns: Median of the rounds.
        low_ns: Lower end of the median's bootstrap interval.
        high_ns: Upper end of it.
        times_ns: Every round in the order measured, outliers included; round i of every runtime ran next to each other.
        narrow: Whether the interval was narrow enough before the time or the rounds ended.
        outliers: Rounds longer than the third quartile by more than 1.5 times the range between the quartiles.
        ratio: Median over rounds of the time over that of `jax` in the same round; null for `jax` itself, or where that
            was not timed.
        ratio_low: Lower end of its bootstrap interval, 2 % lower, by which two processes of one program may differ.
        ratio_high: Upper end of it, 2 % higher.
        compile_ns: To trace and compile before the first call, where the runtime does that apart.
        first_call_ns: The first call; includes compiling where the runtime compiles when it is called.
        transfer_ns: Median time to put the inputs on the device.
        load: Mean number of tasks that wanted a CPU in the minute before measuring ended; null where unknown.
    """

    case: str
    runtime: str
    step: str
    batch_size: Count
    device: str
    median_ns: Size
    low_ns: Size
    high_ns: Size
    times_ns: list[Count]
    narrow: bool
    outliers: Count
    ratio: Number | None = None
    ratio_low: Number | None = None
    ratio_high: Number | None = None
    compile_ns: Number | None = None
    first_call_ns: Number | None = None
    transfer_ns: Number | None = None
    load: Number | None = None

    @property
    def name(self) -> str:
        """What was timed, as one name."""
        return f"{self.case}: {self.step} at batch size {self.batch_size} ({self.device}) on {self.runtime}"


class Footprint(Row, frozen=True, gc=False):
    """What a runtime costs beside its steps, measured in a process of its own.

    Attributes:
        case: What it ran.
        runtime: Which runtime.
        batch_size: The largest that was asked of it, at which its memory peaked.
        import_ns: To import what it needs.
        load_ns: Until it could be called: loading the artifact, converting, or putting parameters on the device.
        first_call_ns: To compile `predict` and call it once.
        peak_memory_bytes: Peak resident set of the process.
        threads: Threads of the process by name, as the operating system has them.
        export_ns: To export what it loads; null where it loads nothing.
        artifact_bytes: Size of what it loads.
    """

    case: str
    runtime: str
    batch_size: Count
    import_ns: Number
    load_ns: Number
    first_call_ns: Number
    peak_memory_bytes: Count
    threads: dict[str, int]
    export_ns: Number | None = None
    artifact_bytes: Count | None = None


class Profile(Row, frozen=True, gc=False):
    """Where and how much a leaf is off: a histogram and a map of its distances from the oracle, in budgets.

    Attributes:
        item: Item of the check that it is about.
        leaf: Leaf of that check.
        case: What is under test.
        probe: What was asked.
        runtime: Who answered.
        batch_size: Number of examples.
        shape: Of the leaf.
        edges: Of the n bins of the histogram, ascending; n + 1 of them.
        counts: Elements of the runtime's answer in each bin; distances below the first edge count in the first bin.
        jax_counts: The same of JAX's answer.
        map: The largest distance in each block of the leaf, seen as a matrix: its last axis across, all others down.
        block: Rows and columns of the leaf in a block.
        failed: Why it could not be asked again; counts and map are then empty.
    """

    item: str
    leaf: str
    case: str
    probe: str
    runtime: str
    batch_size: Count
    shape: list[Count]
    edges: list[Number]
    counts: list[Count]
    jax_counts: list[Count]
    map: list[list[Number]]
    block: list[Count]
    failed: str = ""


class Remedy(Row, frozen=True, gc=False):
    """The remedy under which a case was exported.

    Attributes:
        case: What was exported.
        requirement: What the export was made readable by, such as tensorflow==2.21.0.
        failure: Class of the failure of the default export.
        evidence: The operation or version that this failure names.
    """

    case: str
    requirement: str
    failure: FailureClass
    evidence: str = ""


class Program(Row, frozen=True, gc=False):
    """An exported program of a case, as StableHLO.

    Attributes:
        case: What was exported.
        function: predict, loss or gradient.
        sha256: Of its text without source locations.
        operations: How often each operation occurs, by the name and version under which it is serialised, such as
            vhlo.custom_call_v2.
    """

    case: str
    function: str
    sha256: str
    operations: dict[str, int]


class Deprecation(Row, frozen=True, gc=False):
    """A deprecation warning.

    Attributes:
        package: Who gave it: jax, tensorflow, or another.
        message: Its text.
    """

    package: str
    message: str


class Stopped(Row, frozen=True, gc=False):
    """Why a run ended before its plan did, seen from outside.

    Attributes:
        status: Status of the cell.
        failure: Class of the failure; empty where nothing failed, as in an interrupt.
        evidence: What was seen.
    """

    status: Status
    failure: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["", *CLASSES]})]
    evidence: str
