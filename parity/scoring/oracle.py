"""Whether an answer can be the oracle, before anything is scored against it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from parity import records
from parity.core.arrays import Answer, Array
from parity.records import Worst
from parity.scoring.compare import distance, is_float, pattern
from parity.scoring.rules import Budget, LeafResult, judge_exact, not_measured, real, score_of

BIAS_LIMIT = 48.0
"""How far the oracle may lie from the centre of the ensemble, in spreads.

Rounding that all members share moves the centre. Measured with jax 0.10.2 on 14 models, two or three trainings each, at
batch sizes 1, 13 and 256: at most 4.6 (a loss, of which 8 members tell the spread roughly).
"""

ORACLE_AGREEMENT = 0.01
"""The score at which the oracle may differ between devices: float64 rounding is far below a float32 budget."""


def judge_oracle(
    oracle: Answer,
    jax: Answer,
    first: Answer,
    budgets: Mapping[str, Budget],
    unrounded: Callable[[bool], Collection[str]] = lambda inexact_alone: (),
    with_wide_sums: Callable[[], Mapping[str, Budget]] = dict,
) -> list[LeafResult]:
    """Judge whether an answer can be the oracle; its score is its bias (see `Budget`), its limit `BIAS_LIMIT`.

    It must have the leaves of JAX's answer, in float64, finite where that is, and computed: an oracle that equals JAX's
    answer to the last bit fails, unless every value is exact in both, as a zero, a table or a sum of eighths is, or JAX
    itself computed in float64. It must lie where the ensemble lies: an error of the oracle would widen every budget.

    Args:
        oracle: the oracle's answer.
        jax: JAX's answer.
        first: the oracle's answer on the first device.
        budgets: by leaf.
        unrounded: returns the leaves that are JAX's own to the bit with every result off that may be rounded, or, if
            called with True, those alone that are inexact.
        with_wide_sums: returns budgets of evaluations that add in float64. They tell where the oracle lies where it
            does not lie at the centre of the others, because all additions of a long sum err in one direction.
    """
    exact = Budget(0.0, 0.0)

    def rounds(leaf: str) -> bool:
        return leaf not in unrounded(False) and (_has_last_bits(jax[leaf]) or leaf not in unrounded(True))

    return [
        _judge_oracle_leaf(
            leaf, oracle.get(leaf), jax.get(leaf), first.get(leaf), budgets.get(leaf, exact), rounds, with_wide_sums
        )
        for leaf in sorted({*oracle, *jax})
    ]


def _judge_oracle_leaf(
    leaf: str,
    oracle: Array | None,
    jax: Array | None,
    first: Array | None,
    budget: Budget,
    rounds: Callable[[str], bool],
    with_wide_sums: Callable[[], Mapping[str, Budget]],
) -> LeafResult:
    if oracle is None or first is None:
        return LeafResult(leaf, records.MISSING, message="the oracle lacks this leaf, which JAX's answer has")
    if jax is None or oracle.shape != jax.shape:
        return LeafResult(leaf, records.FAIL, message=f"shape {oracle.shape}, JAX's is {getattr(jax, 'shape', None)}")
    if first.shape != oracle.shape:
        return LeafResult(leaf, records.FAIL, message=f"shape {oracle.shape}, on the first device it is {first.shape}")
    if not is_float(jax):
        return judge_exact(leaf, oracle, jax, oracle, BIAS_LIMIT)
    wide = "complex128" if jax.dtype.kind == "c" else "float64"
    if oracle.dtype.name != wide:
        return LeafResult(leaf, records.FAIL, message=f"dtype {oracle.dtype.name}, an oracle is {wide}")
    apart, bias, stray, worst = distance(jax, oracle), budget.bias, _stray(oracle, jax), None
    wide_sums = None if bias <= BIAS_LIMIT else with_wide_sums().get(leaf)
    message, note = None, not_measured(oracle) if apart.count < oracle.size else None
    if wide_sums is not None:
        bias = wide_sums.bias
        note = f"{budget.bias:.3g} spreads from the centre of the ensemble, but {bias:.3g} if it adds in float64"
    if stray >= 0:
        index = np.unravel_index(stray, oracle.shape)
        worst = Worst([int(i) for i in index], *(real(array[index]) for array in (oracle, jax, oracle)))
        message = "the float64 oracle is not finite where JAX's answer is, or not alike: nothing can be measured there"
    elif apart.count > 1 and apart.max == 0.0 and oracle.any() and jax.dtype.name != wide and rounds(leaf):
        message = f"the oracle is JAX's {jax.dtype.name} answer to the last bit, so it was not computed in float64"
    elif not bias <= BIAS_LIMIT:
        message = f"the oracle lies {bias:.3g} spreads from the centre of the ensemble, more than {BIAS_LIMIT:g}"
    elif pattern(oracle, first) >= 0 or not score_of(oracle, first, budget) <= ORACLE_AGREEMENT:
        message = "the oracle's answer on this device is not the one on the first"
    return LeafResult(
        leaf,
        records.FAIL if message else records.PASS,
        score=bias,
        limit=BIAS_LIMIT,
        max_abs_diff=apart.max,
        bits_equal=apart.max == 0.0,
        worst=worst,
        message=message or note,
    )


def _has_last_bits(array: Array) -> bool:
    """Return whether an element uses the last bit of its fraction, as half of what is rounded does.

    If none does, nothing may have been rounded, and it is worth asking.
    """
    parts = np.ascontiguousarray(array)
    parts = parts.view(parts.real.dtype) if parts.dtype.kind == "c" else parts
    return bool((parts.view(f"u{parts.dtype.itemsize}") & 1).any())


def _stray(oracle: Array, jax: Array) -> int:
    """Return the flat index of the first element that is not finite in the oracle and not the same in JAX's answer.

    -1 if there is none. Where JAX's alone is not finite, its own check fails.
    """
    places = np.flatnonzero(~np.isfinite(oracle))
    found = pattern(oracle.reshape(-1)[places], jax.reshape(-1)[places]) if places.size else -1
    return int(places[found]) if found >= 0 else -1
