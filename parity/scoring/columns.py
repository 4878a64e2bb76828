"""Columns of an output that differ by orders of magnitude, such as a price beside a probability.

The budget of an array is that of its largest column: 1 % of a probability disappears in it. So where columns are
uneven, each is held to a budget of its own as well: the largest error that any evaluation of the ensemble has in it.
"""

from __future__ import annotations

import math

import numpy as np

from parity.core.arrays import Array
from parity.scoring.compare import CHUNK

UNEVEN = 16.0
"""How many times as large the budget of one column must be as that of another for columns to have their own."""
MOST = 4096
"""Columns of an array that are looked at, so that a vocabulary costs nothing: its columns are alike."""


def count(array: Array) -> int:
    """Return how many columns, the last axis, an array is compared by; 0 where it has none of its own."""
    found = array.shape[-1] if array.ndim > 1 else 0
    return found if 1 < found <= MOST and array.size else 0


def errors(array: Array, oracle: Array) -> Array:
    """Return the largest distance in each column, of what is finite in both: [columns], float64."""
    columns = oracle.shape[-1]
    rows, exact = np.asarray(array).reshape(-1, columns), oracle.reshape(-1, columns)
    found, step = np.zeros(columns), max(CHUNK // columns, 1)
    for first in range(0, len(rows), step):
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(rows[first : first + step] - exact[first : first + step])
        found = np.maximum(found, np.where(np.isfinite(apart), apart, 0.0).max(axis=0))
    return found


def budgets(largest: Array, oracle: Array, roundoff: float) -> tuple[float, ...] | None:
    """Return the budget of each column, or None where they are even.

    Args:
        largest: the largest errors of an ensemble; see `errors`.
        oracle: the exact answer.
        roundoff: unit roundoff of the dtype of the ensemble's answers: no column can be more accurate.
    """
    own = np.maximum(largest, roundoff * errors(oracle, np.zeros_like(oracle)))
    if not own.size or not own.max() > UNEVEN * own.min():
        return None
    return tuple(float(value) for value in own)


def worst(array: Array, oracle: Array, budgets: tuple[float, ...]) -> tuple[float, int]:
    """Return the largest error of a column over its budget, and the flat index of that element."""
    apart = errors(array, oracle)
    ratios = [a / b if b else (math.inf if a else 0.0) for a, b in zip(apart.tolist(), budgets, strict=True)]
    column = int(np.argmax(ratios))
    with np.errstate(invalid="ignore", over="ignore"):
        within = np.abs(np.asarray(array)[..., column] - oracle[..., column]).ravel()
    row = int(np.where(np.isfinite(within), within, -1.0).argmax())
    return ratios[column], row * len(budgets) + column
