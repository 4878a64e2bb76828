"""The state of a training between two steps in JAX, and the step as a pure function of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from parity.cases.case import Case, State
from parity.cases.functions import named
from parity.cases.specs import Answer
from parity.cases.training import Trained, optimizer, schedule, training_step
from parity.handover import BATCH_STATS, KEY, LEARNING_RATE, MOMENTS, PARAMETERS, STEP


class TrainState(NamedTuple):
    """The model's state, the optimizer's (a pytree), and the count of steps taken, [] int32."""

    state: State
    moments: Any
    step: Any

    @classmethod
    def of(cls, trained: Trained) -> TrainState:
        """Return the state of a case after its epochs in JAX."""
        return cls(trained.state, trained.moments, np.int32(trained.steps))

    @classmethod
    def after(cls, result: dict[str, Any]) -> TrainState:
        """Return the state that a step leads to, from the step's result."""
        return cls(State(result[PARAMETERS], result[BATCH_STATS], result[KEY]), result[MOMENTS], result[STEP])

    def map(self, function: Callable[[Any], Any]) -> TrainState:
        """Apply `function` to every array."""
        return TrainState(*jax.tree_util.tree_map(function, tuple(self)))


Step = Callable[..., dict[str, Any]]
"""`step(state, moments, count, data, labels)` returns a pytree for each of `STAGES`."""


def stepping(case: Case, steps_per_epoch: int) -> Step:
    """Return the training step of `case` as a pure function.

    It adds to the result of `training.training_step` the count after the step, [] int32, and the learning rate,
    [] float32.
    """
    once = training_step(case, optimizer(case.training, steps_per_epoch))
    rate = schedule(case.training, steps_per_epoch)

    def step(state: State, moments: Any, count: Any, data: Any, labels: Any) -> dict[str, Any]:
        result = once(*state, moments, data, labels)
        return {STEP: count + 1, LEARNING_RATE: jax.numpy.asarray(rate(count), np.float32), **result}

    return step


def answer(result: dict[str, Any]) -> Answer:
    """Return the result of a step as numpy arrays by leaf."""
    return {
        leaf.removesuffix("/"): array
        for name, tree in result.items()
        for leaf, array in named(tree, f"{name}/").items()
    }
