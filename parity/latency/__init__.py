"""How long the steps of a case take on every runtime, and what else a runtime costs: start-up, memory, threads, files.

In: a subject, plan items, and a `TimedRuntime` for each runtime. Out: `Timing` and `Footprint` events, and results.

Each runtime works in a process of its own (`worker`), so that memory, threads and imports are its own; only one of them
works at a time, but for loading where no footprint is measured. `asking` answers the plan items of a run, `measuring`
those of one case through `process`; `timing` has the statistics, `workload` the files that the workers read. `in_jax`,
`in_tensorflow` and `converted` open steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from parity.records import NO_DEVICE, PlanItem
from parity.records.measures import BATCH_SIZES as BATCH_SIZES
from parity.runtimes import registry
from parity.runtimes.base import ARTIFACT, REFERENCE

PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP = "predict", "eval", "forward_backward", "train_step"
STEPS = (PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP)
"""Predictions; the evaluation loss; the training loss with its gradient, statistics and key updated; a whole step of
training, optimizer included."""
PROBE_OF = {PREDICT: "predict", EVAL: "eval_loss", FORWARD_BACKWARD: "train_gradient", TRAIN_STEP: "train_gradient"}
"""The probe that a case must have for a step to be timed."""
LATENCY = "latency"
"""The probe, the test that times a step, and the purpose in the ledger. `footprint` is the other test of the probe."""
MIN_ROUNDS = 8
"""Measured however long they take: of n values, even the interval from the least to the largest misses the median
2 * 2**-n of the time."""
PRECISION = 0.05
"""The half-width of an interval, relative to its value, at which measuring stops."""


@dataclass(frozen=True)
class TimedRuntime:
    """A runtime whose steps can be timed.

    Attributes:
        name: of the runtime.
        is_reference: whether the ratios of the others are relative to it, and their programs are compared with its.
        worker: "module:function" of a function `(workload, device) -> steps.Steps`, called in the runtime's process.
        needs_artifact: whether that reads the SavedModel of the workload.
        without_jax: whether its process must not be able to import jax.
    """

    name: str
    is_reference: bool
    worker: str
    needs_artifact: bool
    without_jax: bool


def timed_runtimes() -> dict[str, TimedRuntime]:
    """Return the runtimes whose latency can be measured, by name."""
    declared = ((name, runtime.capabilities) for name, runtime in registry.runtimes().items())
    return {
        name: TimedRuntime(name, can.role == REFERENCE, can.timing_worker, can.source == ARTIFACT, can.without_jax)
        for name, can in declared
        if can.timing_worker is not None
    }


class Group(NamedTuple):
    """What is measured round by round: a step at a batch size on a device."""

    step: str
    batch_size: int
    device: str

    @classmethod
    def of(cls, item: PlanItem) -> Group:
        """Return the group of a plan item."""
        return cls(item.variant, item.batch_size, device_of(item))


def device_of(item: PlanItem) -> str:
    """Return the device that a plan item is about."""
    return item.jax_device if item.tf_device == NO_DEVICE else item.tf_device


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        budget_s: the time for each runtime of a group, in seconds.
        min_rounds: measured however long they take.
        collect_garbage: whether the collectors of the workers may run while a step is timed.
        timed: whether steps are timed; if not, each is taken once, and only its program is checked.
        precision: the relative half-width at which an interval is narrow enough.
    """

    budget_s: float = 1.0
    min_rounds: int = MIN_ROUNDS
    collect_garbage: bool = True
    timed: bool = True
    precision: float = PRECISION
