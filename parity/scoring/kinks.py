"""Kinks: inputs where a gradient jumps, so that two correct answers may lie on either side of the jump.

The gradient of a ReLU jumps where its argument crosses zero. If the argument is zero within rounding, JAX and
TensorFlow may be on different sides and both correct: one unit of one example has a gradient on one side and none on
the other, and the gradients of all layers before it differ. Losses and statistics are continuous, and agree.

So an answer that fails only by the scores of its gradients is judged again, by the oracle of inputs a few ulp away that
lie across the kink: those whose oracle moves by more than `JUMP`. Where the oracle is smooth there are none, and the
failure stands. Seen in 1 of 200 trainings of the reference case, at batch size 256, with budgets from perturbed inputs:
a score of 40,700 on the near side and of 9.8 on the far side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from parity.core.arrays import Answer, Array
from parity.records import FAIL, PASS
from parity.scoring import rules
from parity.scoring.compare import distance, is_float, widen
from parity.scoring.rules import Budget, LeafResult

GRADIENT = "gradient"
"""The end of the names of probes whose answers may jump."""
Answers = dict[str, Answer]
Results = dict[str, list[LeafResult]]

SCALES = (-16.0, -4.0, 4.0, 16.0)
"""The distances of the other inputs, in ulp: larger than those of correct answers, and in both directions."""

RAYS = ((-16.0, -4.0), (16.0, 4.0))
"""The same by direction, the farthest first. The nearer ones are asked where the gradient has jumped at the farthest: a
jump there and back on the way is not looked for, and explains nothing."""

JUMP = 64.0
"""The score that tells a jump from a slope: a smooth answer moves by 16 to 45 budgets where its inputs move by 16 ulp,
because a budget is the RMS, or the maximum, of 8 evaluations in which every result moves by up to 1."""

NOTE = "at a kink: the answer is that of the oracle a few ulp away, on the other side of a jump of the gradient"
"""The message of a check that passes across a kink."""


def possible(judged: Results) -> bool:
    """Return whether a kink may explain what failed: only gradients failed, by finite scores."""
    failed = [(probe, j) for probe, found in judged.items() for j in found if j.status != PASS]
    return bool(failed) and all(
        probe.endswith(GRADIENT) and j.status == FAIL and j.score is not None and math.isfinite(j.score)
        for probe, j in failed
    )


def farther(tree: Any, moved: Any, times: float) -> Any:
    """Return `tree` moved by `times` its difference to `moved`, a pytree like it: floats in float64, integers as is."""

    def leaf(array: Array, other: Array) -> Array:
        if not is_float(array):
            return array
        wide, there = widen(array), widen(other)
        return wide + times * np.subtract(there, wide, out=np.zeros_like(wide), where=np.isfinite(wide))

    return jax.tree_util.tree_map(leaf, tree, moved)


def beyond(
    oracle: Answers,
    around: Iterable[Answers],
    budgets: Mapping[str, Mapping[str, Budget]],
    limit_of: Callable[[str], float],
) -> Iterator[Answers]:
    """Return those of the oracle's answers `around` an input whose gradients jump; see `jumped`."""
    return (answers for answers in around if jumped(answers, oracle, budgets, limit_of))


def jumped(
    answers: Answers,
    oracle: Answers,
    budgets: Mapping[str, Mapping[str, Budget]],
    limit_of: Callable[[str], float],
) -> bool:
    """Return whether gradients differ from the oracle's by more than `JUMP` and the limit of their probe."""
    return any(
        rules.score(distance(answers[probe][leaf], oracle[probe][leaf]), budget) > max(limit_of(probe), JUMP)
        for probe, by_leaf in budgets.items()
        if probe.endswith(GRADIENT)
        for leaf, budget in by_leaf.items()
    )


def explained(again: Results, first: Results) -> Results | None:
    """Return the results of an answer that passes across the kink, with its scores there; None if it fails there."""
    if any(j.status != PASS for found in again.values() for j in found):
        return None
    return {
        probe: [
            replace(there, jax_score=here.jax_score, message=there.message if here.status == PASS else NOTE)
            for there, here in zip(again[probe], found, strict=True)
        ]
        for probe, found in first.items()
    }
