"""How long the steps of a case take on every runtime, and what a runtime costs beside them.

Each runtime works in a process of its own, so that memory, threads and imports are its own; only one of them works at a
time. `measuring` asks, `worker` answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from parity.latency import timing
from parity.records import PlanItem
from parity.records.measures import BATCH_SIZES as BATCH_SIZES
from parity.runtimes import JAX, SAVED_MODEL, SAVED_MODEL_FRESH, TF_GRAPH, TF_XLA

PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP = "predict", "eval", "forward_backward", "train_step"
STEPS = (PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP)
"""Predictions; the evaluation loss; the training loss with its gradient, statistics and key updated; a whole step of
training, optimizer included."""
PROBE_OF = {PREDICT: "predict", EVAL: "eval_loss", FORWARD_BACKWARD: "train_gradient", TRAIN_STEP: "train_gradient"}
"""The probe that a case must have for a step to be workload."""
RUNTIMES = (JAX, TF_GRAPH, TF_XLA, SAVED_MODEL, SAVED_MODEL_FRESH)


class Group(NamedTuple):
    """What is measured round by round: a step at a batch size on a device."""

    step: str
    batch_size: int
    device: str

    @classmethod
    def of(cls, question: PlanItem) -> Group:
        """That of a question; its id reads case-runtime-step-size, and none of the first three has a hyphen."""
        step = question.item.partition("[")[2].split("-")[2]
        return cls(step, question.batch_size, device_of(question))


def device_of(question: PlanItem) -> str:
    """The device that a question is about."""
    return question.jax_device if question.runtime == JAX else question.tf_device


@dataclass(frozen=True)
class Effort:
    """How much is measured: the time for each runtime in seconds, and the rounds that are measured in any case.

    `collect_garbage` is whether the collectors of the workers may run meanwhile; without `timed`, each step is taken
    once and none is timed; `precision` is the relative half-width at which an interval is narrow enough.
    """

    budget_s: float = 1.0
    min_rounds: int = timing.MIN_ROUNDS
    collect_garbage: bool = True
    timed: bool = True
    precision: float = timing.PRECISION
