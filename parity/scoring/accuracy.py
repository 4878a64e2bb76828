"""Accuracies: they count examples, and may differ by those whose best two classes are too close to call."""

from __future__ import annotations

import math

import numpy as np

from parity import records
from parity.core.arrays import Answer, Array
from parity.records import Worst
from parity.scoring import rules
from parity.scoring.parts import allowed
from parity.scoring.rules import Budget, LeafResult


def judge(actual: Answer, jax: Answer, oracle: Answer, batch_size: int, ambiguous: int) -> LeafResult:
    """Judge an accuracy, which counts examples: it may differ by those whose margin is within budget.

    The score is the number of examples by which it differs over that of the ambiguous ones, so its limit is 1.

    Args:
        actual: the runtime's answer, one scalar.
        jax: JAX's answer.
        oracle: the float64 answer.
        batch_size: examples in the batch.
        ambiguous: examples that the runtime may see differently; see `ambiguous_rows`.
    """
    (leaf, reference), own = next(iter(jax.items())), actual.get(rules.ACCURACY)
    if unmatched := sorted(set(actual) ^ set(jax)):
        return rules.judge_absent(unmatched[0], actual.get(unmatched[0]), jax.get(unmatched[0]))
    exact = oracle.get(leaf)
    if own is None or own.dtype != reference.dtype or exact is None or not own.shape == reference.shape == exact.shape:
        return rules.judge_leaf(leaf, own, reference, exact, {leaf: Budget(0.0, 0.0)}, 0.0)
    counts = [float(a) * batch_size for a in (own, reference, exact)]
    worst = Worst([], float(own), float(reference), float(exact))
    rounded = max(1e-3, 4 * rules.UNIT_ROUNDOFF * batch_size)
    whole = all(abs(c - round(c)) <= rounded for c in counts) if np.isfinite(counts).all() else False
    apart = abs(counts[0] - counts[2])
    message = None
    if not whole:
        message = f"is not a number of examples over the batch size {batch_size}"
    elif round(apart) > ambiguous:
        message = (
            f"{round(counts[0])} of {batch_size} examples are right, the oracle says {round(counts[2])}; "
            f"{ambiguous} of them are too close to call"
        )
    return LeafResult(
        leaf,
        records.FAIL if message else records.PASS,
        score=rules.ratio(float(round(apart)), float(ambiguous)) if whole else math.inf,
        limit=1.0,
        jax_score=rules.ratio(float(round(abs(counts[1] - counts[2]))), float(ambiguous)) if whole else math.inf,
        max_abs_diff=abs(float(own) - float(reference)),
        bits_equal=own.tobytes() == reference.tobytes(),
        worst=worst,
        message=message,
    )


def ambiguous_rows(scores: Array, budget: Budget, limit: float) -> int:
    """Return how many rows of the oracle's `scores` have their two largest within twice the allowed error.

    `scores` is [b, classes]. Scores of another rank count zero, and so do complex ones, which have no largest.
    """
    if scores.ndim != 2 or scores.shape[1] < 2 or scores.dtype.kind == "c":
        return 0
    top = np.partition(scores, -2, axis=1)[:, -2:]
    top = top[np.isfinite(top).all(axis=1)]  # two infinities are equal on every side
    by_magnitude = tuple(parts for parts in budget.parts if parts.partition.edges)
    error = allowed(top, budget.max, by_magnitude).max(axis=1, initial=0.0)
    return int(np.count_nonzero(top[:, 1] - top[:, 0] <= 2 * limit * error))
