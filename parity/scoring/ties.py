"""Ties: integers and truth values that two correct answers may round, sort or compare in two ways.

An integer that a float decides, such as the index of the largest score or a rounded value, jumps where that float is at
a boundary. If it is there within rounding, JAX and TensorFlow may be on different sides and both correct. So elements
that differ are looked up in the oracle's answers to inputs and parameters a few ulp away: each must have, in one of
them, the value that the runtime gave. A value that is never there fails, and so does what differs in shape or dtype.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from parity.core.arrays import Answer, Array
from parity.records import FAIL, PASS
from parity.scoring.compare import is_float
from parity.scoring.rules import LeafResult

NEAR = (1.0, 4.0, 16.0)
"""In ulp: nearer than the limit, for values that jump several times on the way to it, such as finely rounded ones."""


ROUNDINGS = 32
"""Evaluations with every result rounded at random, in which a value is looked up instead: more than those of a budget,
because every single value must be met."""


def rays(limit: float) -> tuple[float, ...]:
    """Return the distances of the other inputs in ulp, in both directions: an answer may be off by `limit` budgets."""
    return tuple(sign * ulp for ulp in (*NEAR, limit) for sign in (-1, 1))


def possible(result: LeafResult, own: Answer, jax: Answer) -> bool:
    """Return whether a leaf failed only by the values of integers."""
    one, other = own.get(result.leaf), jax.get(result.leaf)
    if result.status != FAIL or one is None or other is None or is_float(one):
        return False
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def explained(result: LeafResult, own: Array, jax: Array, around: Iterable[Array]) -> LeafResult:
    """Return the result of a leaf that passes because each element that differs is a tie; else the result itself.

    Args:
        result: of the leaf, failed.
        own: the runtime's values.
        jax: JAX's values.
        around: the oracle's values for inputs a few ulp away.
    """
    differ = own != jax
    left = differ
    for values in around:
        left = left & (own != values)
        if not left.any():
            count = int(differ.sum())
            message = f"{count} of {own.size} elements differ where the oracle is at a boundary: both values are right"
            return replace(result, status=PASS, score=1.0, message=message)
    return result
