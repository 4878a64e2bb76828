"""Profiles: where and how much the worst leaves are off, for whoever reads the report of a run.

A distance is that of one element from the oracle over the leaf's budget for the largest error. The score of a leaf is
its largest distance, or, where that is higher, its RMS error over the budget for that: see
`parity.scoring.rules.score`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from parity.cases.specs import Array
from parity.core.errors import RuntimeFailureError
from parity.records import IN_ORDER, NO_DEVICE, Check, Profile
from parity.runtimes.base import EVALUATION_OF
from parity.runtimes.subject import Subject
from parity.scoring import compare
from parity.scoring.compare import is_float
from parity.scoring.kinks import NOTE
from parity.scoring.rules import ACCURACY, Budget

EDGES = tuple(2.0**power for power in range(-7, 21))
"""Of the bins, in budgets; the project's limit is one of them. What lies beyond the last counts in the last bin."""
BLOCKS = 48
"""The most rows, and the most columns, of a map."""
MOST = 8
"""Profiles of a case."""
_DIGITS = 4


def of_case(subject: Subject, checks: Iterable[Check]) -> Iterator[Profile]:
    """Profiles of the worst of `checks`, which are asked again; of what cannot be, why."""
    for check in worst(check for check in checks if check.case == subject.case.name):
        try:
            yield of_check(subject, check)
        except Exception as error:
            yield Profile(*_about(check), [], [], [], [], [], [], str(error))


def worst(checks: Iterable[Check]) -> list[Check]:
    """Of every probe the check of TensorFlow with the highest score, one that failed first; at most `MOST`.

    None where nothing is off; an accuracy has no elements, and the distances at a kink are those from another oracle.
    """
    found: dict[str, Check] = {}
    for check in sorted(checks, key=_badness, reverse=True):
        elements = check.probe in EVALUATION_OF and check.probe != ACCURACY
        if elements and check.score and check.tf_device != NO_DEVICE and check.message != NOTE:
            found.setdefault(check.probe, check)
    return list(found.values())[:MOST]


def _badness(check: Check) -> tuple[bool, float]:
    score = check.score or 0.0
    return check.status not in IN_ORDER, math.inf if math.isnan(score) else score


def of_check(subject: Subject, check: Check) -> Profile:
    """Return the profile of the leaf that `check` is about.

    Raises:
        ParityError: a runtime failed, or their answers are not of one shape.
    """
    evaluation, probe, leaf, size = EVALUATION_OF[check.probe], check.probe, check.leaf, check.batch_size
    actual = subject.evaluate(check.runtime, evaluation, subject.batch(size), check.tf_device).get(probe, {}).get(leaf)
    jax = subject.kept(subject.reference.jax, evaluation, size, check.jax_device)[probe].get(leaf)
    oracle = subject.kept(subject.reference.oracle, evaluation, size)[probe].get(leaf)
    if actual is None or jax is None or oracle is None or not actual.shape == jax.shape == oracle.shape:
        shapes = ["no such leaf" if found is None else f"shape {found.shape}" for found in (actual, jax, oracle)]
        raise RuntimeFailureError("{} has {}, JAX {}, and the oracle {}".format(check.runtime, *shapes))
    budget = subject.budgets(evaluation, size)[probe].get(leaf, Budget(0.0, 0.0))
    expected = oracle if is_float(jax) else jax
    apart = distances(actual, expected, budget.max)
    found, block = position_map(apart)
    return Profile(
        *_about(check), list(actual.shape), list(EDGES), histogram(apart),
        histogram(distances(jax, expected, budget.max)), found, block,
    )  # fmt: skip


def _about(check: Check) -> tuple[str, str, str, str, str, int]:
    return check.item, check.leaf, check.case, check.probe, check.runtime, check.batch_size


def distances(answer: Array, expected: Array, budget: float) -> Array:
    """Return the distance of every element from `expected` in budgets, float64; the shapes are equal.

    Infinite where the budget is zero and they differ, or one is NaN or infinite and the other is not, or not alike.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        same = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
        apart = np.abs(compare.widen(answer) - compare.widen(expected)) / budget
    return np.where(same, 0.0, np.where(np.isnan(apart), math.inf, apart))


def histogram(apart: Array) -> list[int]:
    """How many distances lie in each bin of `EDGES`."""
    counts, _ = np.histogram(np.clip(apart, EDGES[0], EDGES[-1]), EDGES)
    return [int(count) for count in counts]


def position_map(apart: Array) -> tuple[list[list[float]], list[int]]:
    """Return the largest distance in each block, and the rows and columns of a block.

    `apart` is seen as a matrix, its last axis across and all others down.
    """
    matrix = apart.reshape(-1, apart.shape[-1] if apart.ndim else 1)
    block = [math.ceil(length / BLOCKS) for length in matrix.shape]
    for axis, length in enumerate(block):
        matrix = np.maximum.reduceat(matrix, range(0, matrix.shape[axis], length), axis)
    return [[float(f"{value:.{_DIGITS}g}") for value in row] for row in matrix.tolist()], block
