"""Kinks: where a gradient jumps, and two honest answers may lie on either side.

The gradient of a ReLU jumps where its argument crosses zero. Where that argument lies within rounding of zero, JAX and
TensorFlow may each be right on its own side: one unit of one example has a gradient here and none there, and
everything before it differs by that much. Losses and statistics are continuous, and agree.

So an answer that fails by the scores of its gradients alone is held against the oracle of questions a few ulp away.
One on the far side of the kink explains it; where there is no kink, none is looked at, because the oracle then moves
by less than `JUMP`. Seen in 1 of 200 trainings of the reference case, at batch size 256: a score of 40,700 on this side
and of 9.8 on the other (`reports/false-alarms.json`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax

from parity.core.arrays import Answer, Array
from parity.records import FAIL, PASS
from parity.scoring import rules
from parity.scoring.compare import distance, is_float, widen
from parity.scoring.rules import Budget, LeafResult

GRADIENT = "gradient"
"""How the names of probes end whose answers may jump."""
Answers = dict[str, Answer]
Results = dict[str, list[LeafResult]]

SCALES = (-16.0, -4.0, 4.0, 16.0)
"""How far the questions lie from the one that was asked, in ulp: further than honest answers do, and both ways."""

JUMP = 64.0
"""The score that tells a jump from a slope: by 16 ulp a smooth answer moves at most 16 * sqrt(8) budgets, which are the
RMS or maximum of 8 evaluations off by up to 1 ulp each."""

NOTE = "at a kink: the answer is that of the oracle a few ulp away, on the other side of where the gradient jumps"


def possible(judged: Results) -> bool:
    """Whether a kink may be what failed: gradients alone, by finite scores alone."""
    failed = [(probe, j) for probe, found in judged.items() for j in found if j.status != PASS]
    return bool(failed) and all(
        probe.endswith(GRADIENT) and j.status == FAIL and j.score is not None and math.isfinite(j.score)
        for probe, j in failed
    )


def farther(tree: Any, moved: Any, times: float) -> Any:
    """`tree` and `times` its difference to `moved`, a pytree of the same structure, float64; integers as is."""

    def leaf(array: Array, other: Array) -> Array:
        if not is_float(array):
            return array
        wide = widen(array)
        return wide + times * (widen(other) - wide)

    return jax.tree_util.tree_map(leaf, tree, moved)


def beyond(
    oracle: Answers, around: Iterable[Answers], budgets: Mapping[str, Mapping[str, Budget]], limit: float
) -> Iterator[Answers]:
    """Of the oracle's answers `around` a question those whose gradients jump, beyond `JUMP` and the limit."""
    for answers in around:
        scores = (
            rules.score(distance(answers[probe][leaf], oracle[probe][leaf]), budget)
            for probe, by_leaf in budgets.items()
            if probe.endswith(GRADIENT)
            for leaf, budget in by_leaf.items()
        )
        if any(score > max(limit, JUMP) for score in scores):
            yield answers


def explained(again: Results, first: Results) -> Results | None:
    """What is said of an answer that passes on the other side: its scores there, JAX's as first; None if it fails."""
    if any(j.status != PASS for found in again.values() for j in found):
        return None
    return {
        probe: [
            replace(there, jax_score=here.jax_score, message=None if here.status == PASS else NOTE)
            for there, here in zip(again[probe], found, strict=True)
        ]
        for probe, found in first.items()
    }
