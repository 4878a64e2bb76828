"""Return the state of a training from TensorFlow to JAX, where Optax goes on."""

from __future__ import annotations

import jax
import numpy as np

from parity.cases.functions import named
from parity.cases.specs import Answer, Batch
from parity.core.errors import RuntimeFailureError, UsageError
from parity.handover import BATCH_STATS, KEY, MOMENTS, PARAMETERS, STEP
from parity.handover.continuing import Continuation
from parity.handover.reference import ReferenceTrajectory
from parity.handover.train_state import TrainState, answer


def returned(state: Answer, like: TrainState) -> TrainState:
    """Return what a training in TensorFlow carries as a state from which Optax goes on.

    Args:
        state: by leaf; see `continuing.Continuation.state`.
        like: a state of the same training.

    Raises:
        UsageError: a leaf is missing, or has another shape or dtype.
    """
    stages = {
        PARAMETERS: like.state.params, BATCH_STATS: like.state.other, KEY: like.state.rng, MOMENTS: like.moments,
        STEP: like.step,
    }  # fmt: skip
    found = {}
    for name, tree in stages.items():
        expected = {leaf.removesuffix("/"): array for leaf, array in named(tree, f"{name}/").items()}
        arrays = [_fitting(leaf, state.get(leaf), array) for leaf, array in expected.items()]
        found[name] = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(tree), arrays)
    return TrainState.after(found)


def _fitting(leaf: str, found: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    described = "nothing" if found is None else f"{found.dtype.name}{list(found.shape)}"
    expected = f"{like.dtype.name}{list(like.shape)}"
    if found is None or described != expected:
        raise UsageError(
            f"the state from TensorFlow has {described} for {leaf}, expected {expected}. Return that of a training of "
            "the same case and optimizer."
        )
    return found


class Returned:
    """A training that goes to TensorFlow, and returns to JAX after some steps there.

    Args:
        there: the training in TensorFlow; it takes each step before this one.
        reference: JAX's trajectory from the same start.
        after: the steps to take in TensorFlow.
    """

    def __init__(self, there: Continuation, reference: ReferenceTrajectory, after: int) -> None:
        self._there, self._reference, self._left = there, reference, after
        there.keeps_last = True
        self.train_state, self._seen = reference.begin, there.last

    def step(self, batch: Batch) -> Answer:
        """Take a step, in TensorFlow first and then in JAX.

        Raises:
            RuntimeFailureError: TensorFlow failed.
            UsageError: its state does not fit.
        """
        if self._left:
            if self._there.last is self._seen:
                raise RuntimeFailureError("the training in TensorFlow failed before it could return to JAX")
            self._left, self._seen = self._left - 1, self._there.last
            if not self._left:
                self.train_state = returned(self._there.last, self.train_state)
            return self._there.last
        result = self._reference.jax_step(self.train_state, batch)
        self.train_state = TrainState.after(result)
        return answer(result)
