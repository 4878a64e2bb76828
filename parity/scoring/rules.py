"""How an error is judged: against the float64 oracle, in units of the error that rounding explains.

The *budget* of a leaf is the distance from the oracle of an ensemble of evaluations in JAX, each with every result off
at random by what its rounding may cost; see `parity.scoring.rounding`. The *score* of a runtime is its distance from
the oracle over the budget; about 1 is as accurate as JAX. Complex numbers are apart by the magnitude of their
difference, and their oracle is complex128. Integers, random keys, shapes, dtypes and the pattern of NaN and infinity
are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity import records
from parity.core.arrays import Answer, Array
from parity.core.text import few
from parity.records import Worst
from parity.scoring.compare import Distance, compare, distance, fraction_digits, is_float, pattern, widen
from parity.scoring.parts import Parts, PartsOfEnsemble, ratio, worst

LIMITS = {
    "predict": 4.0, "eval_loss": 4.0, "train_loss": 4.0, "batch_stats": 8.0, "eval_gradient": 64.0,
    "train_gradient": 64.0,
}  # fmt: skip
"""The score at or under which a check of a probe passes.

Each follows from the highest sound score of its probe in `reports/false-alarms.json`, by `false_alarms.limit_for`. That
of gradients is that of a bias before a mean over 112 x 112 places: 163,072 equal terms, which TensorFlow adds one after
the other, so that the errors of all additions have one sign.
"""
LIMIT = max(LIMITS.values())
"""The limit of what has none of its own, such as a trajectory, in which gradients and statistics are among the rest."""

LIMIT_OF_OTHER_DTYPES = 4.0
"""The score at or under which every check of a case passes that computes in another dtype than float32, in part or
wholly: a budget in bfloat16 is some per cent of the values, so that a larger limit would catch little.

Correct answers score about 1: TensorFlow at most 1.1 in eight small cases (jax 0.10.2, tensorflow 2.21.0), and JAX at
most this limit in the functions of `parity/tests/integration/scoring/test_arithmetic.py`.
"""

MEMBERS = 8
"""Evaluations in an ensemble."""

AT_RANDOM = "every result off by up to 1 ulp of its dtype, sums by more"
"""What distinguishes those evaluations, for the source of a budget; see `parity.scoring.rounding`."""


UNIT_ROUNDOFF = 2.0**-24
"""Of float32; see `unit_roundoff`."""

POWERLESS = 1e-2
"""A probe has no power if no weight tensor would be caught at 1 % relative error."""

POWERLESS_ROUNDINGS = 64
"""The same in roundings, where those of the coarsest dtype are larger: 16 times `LIMIT_OF_OTHER_DTYPES`, 25 % in
bfloat16."""

PROBED_WITH = 1e-4
"""The relative error with which the response is measured: small enough to be linear, in float64 far above rounding."""

ACCURACY = "accuracy"
JAX = "JAX"


@dataclass(frozen=True)
class Budget:
    """The error a leaf may have at score 1: RMS and maximum over its elements.

    `bias` is how far the oracle lies from the centre of the ensemble, in units of the ensemble's spread around it.
    `parts` are the maxima of columns and magnitudes, where those are uneven; see `parity.scoring.parts`.
    """

    rms: float
    max: float
    source: str = ""
    bias: float = 0.0
    parts: tuple[Parts, ...] = ()


@dataclass(frozen=True)
class LeafResult:
    """The result of judging one leaf; the fields are those of `records.Check`.

    `limit` is the score up to which the leaf passes, set where the score was judged; None where no score was.
    """

    leaf: str
    status: str
    score: float | None = None
    limit: float | None = None
    jax_score: float | None = None
    max_abs_diff: float | None = None
    max_ulp: int | None = None
    bits_equal: bool | None = None
    worst: Worst | None = None
    failure: str | None = None
    evidence: str | None = None
    message: str | None = None


def renamed(result: LeafResult, leaf: str) -> LeafResult:
    """Return the result under another leaf name."""
    return replace(result, leaf=leaf)


def unit_roundoff(dtype: np.dtype) -> float:
    """Return half the distance from 1 to the next number (IEEE 754-2019, 3.3): 2**-24 for float32."""
    return 2.0 ** -(fraction_digits(dtype) + 1)


class Ensemble:
    """Collect the distances of evaluations from the oracle, and make budgets of them.

    Args:
        oracle: the exact answer.
        in_parts: whether uneven parts have budgets of their own.
        with_bias: whether the bias of budgets is measured, which needs the sum of all evaluations; else it is 0. That
            of parts always is.
    """

    def __init__(self, oracle: Answer, in_parts: bool = False, with_bias: bool = True) -> None:
        self._oracle = {leaf: array for leaf, array in oracle.items() if is_float(array)}
        self._parts = {leaf: PartsOfEnsemble(array) for leaf, array in self._oracle.items() if in_parts}
        self._members: dict[str, list[Distance]] = {leaf: [] for leaf in self._oracle}
        summed = self._oracle if with_bias or in_parts else {}
        self._sums = {leaf: widen(np.zeros_like(array)) for leaf, array in summed.items()}
        self._roundoff: dict[str, float] = {}

    def add(self, answer: Answer) -> None:
        """Add one evaluation."""
        for leaf, members in self._members.items():
            members.append(distance(answer[leaf], self._oracle[leaf]))
            self._roundoff[leaf] = unit_roundoff(answer[leaf].dtype)
            if leaf in self._parts:
                self._parts[leaf].add(answer[leaf])
            if leaf in self._sums:
                with np.errstate(invalid="ignore", over="ignore"):
                    self._sums[leaf] += answer[leaf]

    def budgets(self, source: str) -> dict[str, Budget]:
        """Return the budget of every float leaf, with the source of its numbers.

        It is at least the unit roundoff of the oracle in the dtype of the evaluations, because no answer in it is more
        accurate than that. All members may share the rounding of the answer itself, so its unit roundoff is no bias.
        """
        return {leaf: self._budget(leaf, members, source) for leaf, members in self._members.items()}

    def _budget(self, leaf: str, members: list[Distance], source: str) -> Budget:
        oracle, roundoff = self._oracle[leaf], self._roundoff[leaf]
        size = distance(oracle, np.zeros_like(oracle))
        floor = roundoff * size.rms
        rms = math.sqrt(sum(m.rms**2 for m in members) / len(members))
        largest = max(*(m.max for m in members), roundoff * size.max)
        if leaf not in self._sums:
            return Budget(max(rms, floor), largest, source)
        centre = self._sums[leaf] / len(members)
        off_centre = distance(centre, oracle).rms
        spread = math.sqrt(max(rms**2 - off_centre**2, 0.0))
        parts, bias = self._parts[leaf].budgets(centre, roundoff) if leaf in self._parts else ((), 0.0)
        return Budget(
            max(rms, floor), largest, source, bias=max(ratio(off_centre, max(spread, floor)), bias), parts=parts
        )


def score(error: Distance, budget: Budget) -> float:
    """Return the larger of RMS error over RMS budget and maximum error over maximum budget; NaN if either is."""
    return float(np.maximum(ratio(error.rms, budget.rms), ratio(error.max, budget.max)))


def score_of(array: Array, oracle: Array, budget: Budget) -> float:
    """Return the score of an array, that of its worst part included."""
    return max(score(distance(array, oracle), budget), *(worst(array, oracle, parts)[0] for parts in budget.parts), 0.0)


def judge(
    actual: Answer, jax: Answer, oracle: Answer, budgets: Mapping[str, Budget], limit: float, other: str = JAX
) -> list[LeafResult]:
    """Return a result for each leaf of any of the answers.

    Args:
        actual: the runtime's answer.
        jax: JAX's answer, float32.
        oracle: the float64 answer.
        budgets: by leaf, for every float leaf.
        limit: the largest score that passes.
        other: whose answer `jax` is, for the messages; only JAX's scores tell which side moved.
    """
    return [
        judge_leaf(leaf, actual.get(leaf), jax.get(leaf), oracle.get(leaf), budgets, limit, other)
        for leaf in sorted({*actual, *jax, *oracle})
    ]


def judge_alike(
    actual: Answer, expected: Answer, budgets: Mapping[str, Budget], limit: float, other: str
) -> list[LeafResult]:
    """Judge two answers that need no oracle, because one follows from the other: their distance over the budget.

    Args:
        actual: one answer.
        expected: what it must be.
        budgets: by leaf, for every float leaf.
        limit: the largest score that passes.
        other: whose answer `expected` is, for the messages.
    """
    exact = Budget(0.0, 0.0)  # of a leaf that has no budget, because JAX's answer lacks it
    known = {leaf: budgets.get(leaf, exact) for leaf in expected}
    return [replace(j, jax_score=None) for j in judge(actual, expected, expected, known, limit, other)]


def judge_identical(actual: Answer, expected: Answer, other: str) -> list[LeafResult]:
    """Judge two answers that must agree to the bit."""
    return [_to_the_bit(j, other) for j in judge_alike(actual, expected, {}, 0.0, other)]


def _to_the_bit(result: LeafResult, other: str) -> LeafResult:
    if result.bits_equal is not False:
        return result
    ulp = "" if result.max_ulp is None else f", {result.max_ulp} ulp at most"
    return replace(result, status=records.FAIL, message=f"must equal {other} to the bit, and differs{ulp}")


def judge_leaf(
    leaf: str,
    actual: Array | None,
    jax: Array | None,
    oracle: Array | None,
    budgets: Mapping[str, Budget],
    limit: float,
    other: str = JAX,
) -> LeafResult:
    """Return the result of a leaf; None stands for an answer that lacks it."""
    if actual is None or jax is None or oracle is None:
        return judge_absent(leaf, actual, jax, other)
    message = _unlike(actual, jax, other)
    if message is None and oracle.shape != jax.shape:
        message = f"the oracle has shape {oracle.shape}, {other}'s answer has {jax.shape}"
    if message is not None:
        return LeafResult(leaf, records.FAIL, message=message)
    if not is_float(actual):
        return judge_exact(leaf, actual, jax, oracle, limit)
    return _judge_float(leaf, actual, jax, oracle, budgets[leaf], limit, other)


def judge_absent(leaf: str, actual: Array | None, jax: Array | None, other: str = JAX) -> LeafResult:
    """Return the result of a leaf that one of the answers lacks."""
    if actual is not None and jax is not None:
        return LeafResult(leaf, records.FAIL, message="the oracle lacks this leaf, which both answers have")
    if actual is None:
        return LeafResult(leaf, records.MISSING, message=f"the runtime's answer lacks this leaf, which {other}'s has")
    return LeafResult(leaf, records.FAIL, message=f"the runtime's answer has this leaf, which {other}'s lacks")


def _unlike(actual: Array, jax: Array, other: str) -> str | None:
    """Return how two arrays differ before any value is compared; None if they do not."""
    if actual.shape != jax.shape:
        return f"shape {actual.shape}, {other}'s is {jax.shape}"
    if actual.dtype != jax.dtype:
        return f"dtype {actual.dtype.name}, {other}'s is {jax.dtype.name}"
    return None if actual.size else "empty: there is nothing to compare"


def judge_exact(leaf: str, actual: Array, jax: Array, oracle: Array, limit: float) -> LeafResult:
    """Judge a leaf of integers, which must be JAX's; the oracle's are shown beside them."""
    different = actual != jax
    if not different.any():
        return LeafResult(
            leaf, records.PASS, score=0.0, limit=limit, jax_score=0.0, max_abs_diff=0.0, max_ulp=0, bits_equal=True
        )
    index = np.unravel_index(int(different.argmax()), actual.shape)
    count = int(different.sum())
    message = f"must be exact: {count} of {actual.size} elements differ, first {actual[index]} for {jax[index]}"
    worst = Worst([int(i) for i in index], *(float(array[index]) for array in (actual, jax, oracle)))
    return LeafResult(
        leaf, records.FAIL, score=math.inf, limit=limit, jax_score=0.0, bits_equal=False, worst=worst, message=message
    )


def _judge_float(
    leaf: str, actual: Array, jax: Array, oracle: Array, budget: Budget, limit: float, other: str
) -> LeafResult:
    difference = compare(actual, jax, oracle)
    own, jax_score = score(difference.actual, budget), score(difference.jax, budget)
    flat, stray = max(difference.actual.argmax, 0), -1
    for parts in budget.parts:
        of_part, place = worst(actual, oracle, parts)
        flat = place if of_part > own else flat
        own, jax_score = max(own, of_part), max(jax_score, worst(jax, oracle, parts)[0])
    if min(difference.actual.count, difference.jax.count) < actual.size:
        stray = pattern(actual, oracle)
        own = math.inf if stray >= 0 else own
        jax_score = math.inf if pattern(jax, oracle) >= 0 else jax_score
        flat = next((index for index in (difference.pattern, stray) if index >= 0), flat)
    index = np.unravel_index(flat, actual.shape)
    element = Worst([int(i) for i in index], *(real(array[index]) for array in (actual, jax, oracle)))
    message = None
    if difference.pattern >= 0:
        message = f"the pattern of NaN and infinity differs from {other}'s"
    elif stray >= 0:
        message = f"the pattern of NaN and infinity differs from the float64 oracle's{_overflow(actual, oracle, index)}"
    elif not own <= limit:
        message = f"score {own:.3g} over the limit {limit:g}"
    if message is not None and actual.dtype.kind == "c":
        message += f": {actual[index]} for {jax[index]}, and the record has magnitudes"
    if message is not None and other == JAX:
        message += f"; {attribution(own, jax_score, limit)}"
    return LeafResult(
        leaf,
        records.FAIL if message else records.PASS,
        score=own,
        limit=limit,
        jax_score=jax_score,
        max_abs_diff=difference.max_abs,
        max_ulp=difference.max_ulp,
        bits_equal=difference.bits_equal,
        worst=element,
        message=message or (not_measured(actual) if difference.actual.count < actual.size else None),
    )


def not_measured(array: Array) -> str | None:
    """Return how many elements of a leaf that passes are not finite, in words; None if none is."""
    counts = {"infinite": int(np.isinf(array).sum()), "NaN": int(np.isnan(array).sum())}
    if sum(counts.values()) == array.size:
        return "no element is finite: the pattern of NaN and infinity was compared, and nothing was measured"
    parts = [f"{count} of {array.size} elements are {what}" for what, count in counts.items() if count]
    return f"{' and '.join(parts)}, as they must be" if parts else None


def _overflow(actual: Array, oracle: Array, index: tuple[Any, ...]) -> str:
    """Return that an element overflowed, in words; "" if it did not."""
    exact = oracle[index]
    with np.errstate(over="ignore"):
        overflows = np.isinf(actual[index]) and np.isfinite(exact) and np.isinf(exact.astype(actual.dtype))
    return f": {exact:.3g} there is more than {actual.dtype.name} holds" if overflows else ""


def real(value: np.generic) -> float:
    """Return a number as a record holds it: of a complex one, the magnitude."""
    return float(abs(value) if np.iscomplexobj(value) else value)  # type: ignore[arg-type]


def about(result: LeafResult, runtime: str) -> LeafResult:
    """Return a result whose message names a runtime that is not TensorFlow's; beside JAX itself there is no other."""
    text, separator, moved = (result.message or "").rpartition("; ")
    if runtime == JAX.lower() and moved in _MOVED:
        return replace(result, message=text if moved == NEITHER else f"{text}{separator}{runtime} moved")
    return replace(result, message=result.message and result.message.replace("TensorFlow moved", f"{runtime} moved"))


def about_artifact(result: LeafResult, foreign: Sequence[str]) -> LeafResult:
    """Return a result about an artifact that the user has made: TensorFlow alone is not what may have moved.

    Args:
        result: of a runtime that reads the artifact.
        foreign: the leaves of which the artifact has other values than the case.
    """
    text, separator, moved = (result.message or "").rpartition("; ")
    if moved not in (TENSORFLOW_MOVED, BOTH):
        return result
    if foreign:
        artifact = f"the artifact's weights are not those of the case: {few(foreign)}"
        who = f"JAX moved, and {artifact}" if moved == BOTH else artifact
    else:
        artifact = "the artifact or TensorFlow moved"
        who = f"JAX moved, and {artifact}" if moved == BOTH else f"{artifact}, JAX is where it should be"
    return replace(result, message=f"{text}{separator}{who}")


def limit_of(own: float | None, probe: str = "") -> float:
    """Return the limit of a probe: the case's own, else the project's. The one place that decides it."""
    return LIMITS.get(probe, LIMIT) if own is None else own


BOTH, JAX_MOVED, NEITHER = "both moved", "JAX moved", "neither moved"
TENSORFLOW_MOVED = "TensorFlow moved, JAX is where it should be"
_MOVED = (BOTH, JAX_MOVED, NEITHER, TENSORFLOW_MOVED)


def attribution(score: float, jax_score: float, limit: float) -> str:
    """Return which side moved away from the oracle."""
    if not jax_score <= limit:
        return BOTH if not score <= limit else JAX_MOVED
    return TENSORFLOW_MOVED if not score <= limit else NEITHER


def pass_or_fail(leaf: str, message: str | None) -> LeafResult:
    """Return a result without a score: failed with `message`, or passed where that is None."""
    return LeafResult(leaf, records.FAIL if message else records.PASS, message=message)
