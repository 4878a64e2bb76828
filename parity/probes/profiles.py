"""Profiles: where and how much the worst leaves are off, for whoever reads the report of a run.

A distance is that of one element from the oracle over the budget for the largest error, of the leaf or of its part. The
score of a leaf is its largest distance, or, where that is higher, its RMS error over the budget for that: see
`parity.scoring.rules.score`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import numpy as np

from parity.cases import symbols
from parity.cases.specs import Answer, Array
from parity.core.errors import ParityError, RuntimeFailureError
from parity.probes.evaluation import Place
from parity.records import IN_ORDER, NO_DEVICE, Check, Profile
from parity.runtimes import registry
from parity.runtimes.base import EVALUATION_OF
from parity.runtimes.subject import Subject
from parity.scoring import compare, parts
from parity.scoring.compare import is_float
from parity.scoring.kinks import NOTE
from parity.scoring.rules import ACCURACY, Budget, LeafResult

AnswersOf = Callable[[str], tuple[Answer, Answer, Answer, Mapping[str, Budget]]]
Asked = tuple[Place, int, str, str]
"""A place, a batch size, the sizes of the examples as a variant has them, and a leaf."""
Measured = tuple[list[int], list[float], list[int], list[int], list[list[float]], list[int]]
"""The fields of a `Profile` that describe a leaf."""

EDGES = tuple(2.0**power for power in range(-7, 21))
"""Of the bins, in budgets; the project's limit is one of them. What lies beyond the last counts in the last bin."""
BLOCKS = 48
"""The most rows, and the most columns, of a map."""
MOST = 8
"""Profiles of a case."""
_DIGITS = 4


class WorstLeaves:
    """Measure the worst leaf of each probe when it is scored, so that no runtime is asked again after the run."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[bool, float], Asked, Measured]] = {}

    def __call__(
        self, place: Place, size: int, results: Mapping[str, list[LeafResult]], answers: AnswersOf, variant: str = ""
    ) -> None:  # fmt: skip
        """Measure those leaves of an evaluation that are worse than what was seen before.

        Args:
            place: who answered.
            size: the number of examples.
            results: by probe.
            answers: returns the runtime's answer, JAX's, the oracle's and the budgets, of a probe.
            variant: the sizes of the examples, where they are not the case's own; see `parity.cases.symbols`.
        """
        if not registry.require(place.runtime).capabilities.in_tensorflow:
            return
        for probe, found in results.items():
            worse = max(filter(partial(_shown, probe), found), key=_badness, default=None)
            before = self._kept.get(probe)
            if worse is None or (before is not None and _badness(worse) <= before[0]):
                continue
            with suppress(ParityError):  # found again, and recorded, when it is asked for
                measured = measure(place.runtime, worse.leaf, *answers(probe))
                self._kept[probe] = _badness(worse), (place, size, variant, worse.leaf), measured

    def of(self, check: Check) -> Measured | None:
        """Return what was measured of the leaf of `check`, or None."""
        place = Place(check.runtime, check.jax_device, check.tf_device)
        _, asked, measured = self._kept.get(check.probe, (None, None, None))
        return measured if asked == (place, check.batch_size, check.variant, check.leaf) else None


def of_case(subject: Subject, checks: Iterable[Check]) -> Iterator[Profile]:
    """Profiles of the worst of `checks`, asked again where nothing was measured; of what cannot be, why."""
    kept = subject.observer
    for check in worst(check for check in checks if check.case == subject.case.name):
        measured = kept.of(check) if isinstance(kept, WorstLeaves) else None
        try:
            yield Profile(*_about(check), *measured) if measured is not None else of_check(subject, check)
        except Exception as error:
            yield Profile(*_about(check), [], [], [], [], [], [], str(error))


def worst(checks: Iterable[Check]) -> list[Check]:
    """Of every probe the check of TensorFlow with the highest score, one that failed first; at most `MOST`.

    None where nothing is off; an accuracy has no elements, and the distances at a kink are those from another oracle.
    """
    found: dict[str, Check] = {}
    for check in sorted(checks, key=_badness, reverse=True):
        if check.probe in EVALUATION_OF and check.tf_device != NO_DEVICE and _shown(check.probe, check):
            found.setdefault(check.probe, check)
    return list(found.values())[:MOST]


def _shown(probe: str, result: Check | LeafResult) -> bool:
    return bool(probe != ACCURACY and result.score and result.message != NOTE)


def _badness(result: Check | LeafResult) -> tuple[bool, float]:
    score = result.score or 0.0
    return result.status not in IN_ORDER, math.inf if math.isnan(score) else score


def of_check(subject: Subject, check: Check) -> Profile:
    """Return the profile of the leaf that `check` is about.

    Raises:
        ParityError: a runtime failed, or their answers are not of one shape.
    """
    evaluation, probe, leaf, size = EVALUATION_OF[check.probe], check.probe, check.leaf, check.batch_size
    subject = subject.at(symbols.read(check.variant))
    actual = subject.evaluate(check.runtime, evaluation, subject.batch(size), check.tf_device).get(probe, {})
    jax = subject.kept(subject.reference.jax, evaluation, size, check.jax_device)[probe]
    oracle = subject.kept(subject.reference.oracle, evaluation, size)[probe]
    budgets = subject.budgets(evaluation, size)[probe]
    return Profile(*_about(check), *measure(check.runtime, leaf, actual, jax, oracle, budgets))


def measure(
    runtime: str, leaf: str, own: Answer, by_jax: Answer, by_oracle: Answer, budgets: Mapping[str, Budget]
) -> Measured:
    """Return the shape of a leaf, the edges of the bins, both histograms, the map, and the size of its blocks.

    Raises:
        RuntimeFailureError: the leaf is not in all answers in one shape.
    """
    actual, jax, oracle = (answer.get(leaf) for answer in (own, by_jax, by_oracle))
    if actual is None or jax is None or oracle is None or not actual.shape == jax.shape == oracle.shape:
        shapes = ["no such leaf" if found is None else f"shape {found.shape}" for found in (actual, jax, oracle)]
        raise RuntimeFailureError("{} has {}, JAX {}, and the oracle {}".format(runtime, *shapes))
    budget = budgets.get(leaf, Budget(0.0, 0.0))
    expected = oracle if is_float(jax) else jax
    error = parts.allowed(expected, budget.max, budget.parts)
    apart = distances(actual, expected, error)
    own_counts, jax_counts = histogram(apart), histogram(distances(jax, expected, error))
    return list(actual.shape), list(EDGES), own_counts, jax_counts, *position_map(apart)


def _about(check: Check) -> tuple[str, str, str, str, str, int]:
    return check.item, check.leaf, check.case, check.probe, check.runtime, check.batch_size


def distances(answer: Array, expected: Array, budget: Array | float) -> Array:
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
