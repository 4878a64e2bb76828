"""Back again: the state of a training in TensorFlow returned to JAX, where Optax goes on."""

from __future__ import annotations

import jax
import numpy as np

from parity.cases.specs import Answer, Batch
from parity.core.errors import RuntimeFailureError, UsageError
from parity.handover import BATCH_STATS, KEY, MOMENTS, PARAMETERS, STEP
from parity.handover.continuing import Continuation
from parity.handover.course import Course, Point, answer
from parity.cases.functions import named


def returned(state: Answer, like: Point) -> Point:
    """What a training in TensorFlow carries, as a point from which Optax goes on.

    Args:
        state: by leaf; see `continuing.Continuation.state`.
        like: a point of the same training.

    Raises:
        UsageError: a leaf is missing, or has another shape or dtype.
    """
    rungs = {
        PARAMETERS: like.state.params, BATCH_STATS: like.state.other, KEY: like.state.rng, MOMENTS: like.moments,
        STEP: like.step,
    }  # fmt: skip
    found = {}
    for name, tree in rungs.items():
        wanted = {leaf.removesuffix("/"): array for leaf, array in named(tree, f"{name}/").items()}
        arrays = [_fitting(leaf, state.get(leaf), array) for leaf, array in wanted.items()]
        found[name] = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(tree), arrays)
    return Point.after(found)


def _fitting(leaf: str, found: np.ndarray | None, wanted: np.ndarray) -> np.ndarray:
    described = None if found is None else f"{found.dtype.name}{list(found.shape)}"
    expected = f"{wanted.dtype.name}{list(wanted.shape)}"
    if found is None or described != expected:
        raise UsageError(
            f"the state from TensorFlow has {described or 'nothing'} for {leaf}, expected {expected}. Return that of a "
            "training of the same case and optimizer."
        )
    return found


class Returned:
    """A training that goes to TensorFlow, and comes back to JAX after some steps there.

    Args:
        there: the training in TensorFlow; it is followed as well, and takes each step before this one.
        course: JAX's course of the same training.
        begin: where it was handed over.
        after: the steps that it takes in TensorFlow.
    """

    def __init__(self, there: Continuation, course: Course, begin: Point, after: int) -> None:
        self._there, self._course, self._point, self._left = there, course, begin, after
        self._seen = there.last

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
            self._point = self._point if self._left else returned(self._there.last, self._point)
            return self._there.last
        found = self._course.go_on(self._point, batch)
        self._point = Point.after(found)
        return answer(found)
