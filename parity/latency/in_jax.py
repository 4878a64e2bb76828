"""The steps in JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from parity.cases.case import Case, State
from parity.cases.functions import pure_functions
from parity.cases.jax_devices import device
from parity.cases.loading import load
from parity.cases.training import optimizer
from parity.handover import BATCH_STATS, GRADIENT, KEY, LOSS
from parity.handover.train_state import TrainState, stepping
from parity.latency import EVAL, FORWARD_BACKWARD, PREDICT, TRAIN_STEP, steps
from parity.latency.steps import Inputs
from parity.latency.workload import Workload


def train_state(case: Case, workload: Workload) -> TrainState:
    """Return where training has arrived, from the leaves in the folder of `workload`."""

    def begin() -> Any:
        params, other = case.init(jax.random.PRNGKey(0))
        moments = optimizer(case.training, workload.steps_per_epoch).init(params)
        return tuple(TrainState(State(params, other, jax.random.PRNGKey(0)), moments, np.int32(0)))

    tree = jax.tree_util.tree_structure(jax.eval_shape(begin))
    return TrainState(*jax.tree_util.tree_unflatten(tree, workload.leaves()))


def leaves(train_state: TrainState) -> list[np.ndarray]:
    """Return the leaves of a state, in the order of its tree."""
    return [np.asarray(leaf) for leaf in jax.tree_util.tree_leaves(tuple(train_state))]


class Steps(steps.Steps):
    """The case's functions, compiled by `jax.jit`.

    Raises:
        CaseError: there is no such case.
    """

    def __init__(self, workload: Workload, on: str) -> None:
        case = load(workload.case)
        self._device = device(on)
        self._begin = jax.device_put(tuple(train_state(case, workload)), self._device)
        self._pure = {step: jax.jit(function) for step, function in functions(case, workload.steps_per_epoch).items()}
        self._compiled: dict[tuple[str, Any], Callable[..., Any]] = {}
        self.reset()

    def reset(self) -> None:
        """Restore the state that training had arrived at."""
        self._state = TrainState(*self._begin)

    def put(self, arrays: Inputs) -> Inputs:
        """Return `arrays` on the device."""
        placed: Inputs = jax.block_until_ready(jax.device_put(arrays, self._device))
        return placed

    def compile(self, step: str, inputs: Inputs) -> None:
        """Lower and compile."""
        self._compiled[step, _shapes(inputs)] = self._pure[step].lower(*self._state, *inputs).compile()

    def call(self, step: str, inputs: Inputs) -> Any:
        """Return the result of `step`, and wait for it."""
        result = jax.block_until_ready(self._compiled[step, _shapes(inputs)](*self._state, *inputs))
        if step == TRAIN_STEP:
            self._state = TrainState.after(result)
        elif step == FORWARD_BACKWARD:
            params = self._state.state.params
            self._state = self._state._replace(state=State(params, result[BATCH_STATS], result[KEY]))
        return result

    def answer(self, step: str, result: Any) -> tuple[Any, list[Any]]:
        """Return the loss and the gradient."""
        return (result, []) if step == EVAL else (result[LOSS], jax.tree_util.tree_leaves(result[GRADIENT]))

    def state(self) -> tuple[list[Any], list[Any]]:
        """Return parameters and other state, now and at the start."""
        now, begun = ((s.state.params, s.state.other) for s in (self._state, TrainState(*self._begin)))
        return jax.tree_util.tree_leaves(now), jax.tree_util.tree_leaves(begun)


def _shapes(inputs: Inputs) -> Any:
    return jax.tree_util.tree_leaves(inputs)[0].shape


def functions(case: Case, steps_per_epoch: int) -> dict[str, Callable[..., Any]]:
    """Return the steps as pure functions `(state, moments, count, data, labels)`."""
    train = pure_functions(case)["train"]

    def predict(state: Any, moments: Any, count: Any, data: Any) -> Any:
        return case.predict((state.params, state.other), data)

    def evaluate(state: Any, moments: Any, count: Any, data: Any, labels: Any) -> Any:
        _, drawn = jax.random.split(state.rng)
        return case.loss(state.params, state.other, drawn, data, labels, False)[0]

    def forward_backward(state: Any, moments: Any, count: Any, data: Any, labels: Any) -> Any:
        loss, gradient, other, key = train(*state, data, labels)
        return {LOSS: loss, GRADIENT: gradient, BATCH_STATS: other, KEY: key}

    return {
        PREDICT: predict, EVAL: evaluate, FORWARD_BACKWARD: forward_backward,
        TRAIN_STEP: stepping(case, steps_per_epoch),
    }  # fmt: skip
