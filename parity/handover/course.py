"""The course that training takes in JAX from one point on: in float32, in float64, and as an ensemble.

The ensemble begins with every parameter, statistic and moment off by up to one ulp, and sees its batches so as well.
How far its members are from the float64 course after a step is what float32 honestly costs there: where training is
chaotic, budgets grow as it does.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from parity.cases.case import Case, State
from parity.cases.specs import MOST_BYTES, Answer, Batch
from parity.cases.training import Trained, optimizer, schedule, training_step
from parity.handover import BATCH_STATS, GRADIENT, KEY, LEARNING_RATE, LOSS, MOMENTS, PARAMETERS, STEP, rung
from parity.cases.functions import named
from parity.scoring import kinks, rules
from parity.scoring.arithmetic import in_float64, with_rounding
from parity.scoring.compare import distance, is_float
from parity.scoring.rules import Budget, Ensemble

SOURCE = f"{rules.MEMBERS} float32 courses of training, begun with everything perturbed by up to 1 ulp"


class Point(NamedTuple):
    """Where training is: the model's state, the optimizer's, and the count of steps taken, [] int32."""

    state: State
    moments: Any
    step: Any

    @classmethod
    def of(cls, trained: Trained) -> Point:
        """Where a case is after its epochs in JAX."""
        return cls(trained.state, trained.moments, np.int32(trained.steps))

    @classmethod
    def after(cls, found: dict[str, Any]) -> Point:
        """Where a step leads to."""
        return cls(State(found[PARAMETERS], found[BATCH_STATS], found[KEY]), found[MOMENTS], found[STEP])

    def map(self, function: Callable[[Any], Any]) -> Point:
        """Apply `function` to every array."""
        return Point(*jax.tree_util.tree_map(function, tuple(self)))


Step = Callable[..., dict[str, Any]]


def stepping(case: Case, steps_per_epoch: int) -> Step:
    """A training step of `case` as a pure function of a point and a batch: `(state, moments, step, data, labels)`.

    To what `training.training_step` returns it adds `step`, the count after it, and `learning_rate`, [] float32.
    """
    once = training_step(case, optimizer(case.training, steps_per_epoch))
    rate = schedule(case.training, steps_per_epoch)

    def step(state: State, moments: Any, count: Any, data: Any, labels: Any) -> dict[str, Any]:
        found = once(*state, moments, data, labels)
        return {STEP: count + 1, LEARNING_RATE: jax.numpy.asarray(rate(count), np.float32), **found}

    return step


def answer(found: dict[str, Any]) -> Answer:
    """The results of a step by leaf."""
    return {
        leaf.removesuffix("/"): array for name, tree in found.items() for leaf, array in named(tree, f"{name}/").items()
    }


@dataclass(frozen=True)
class Expected:
    """What a step must answer: the oracle, JAX's own answer, and the budget of every float leaf.

    `halves` is half of the last place of what is kept narrower than float32, by leaf. The oracle is there what is about
    to be rounded; an answer no further from it than that is as good, and is compared as if it were the oracle's.
    """

    number: int
    oracle: Answer
    jax: Answer
    budgets: dict[str, Budget]
    halves: Answer

    def comparable(self, found: Answer) -> Answer:
        """`found` with what is narrower than float32 as it was before it was rounded, as near as can be told."""
        return _before_rounding(found, self.oracle, self.halves)


def _before_rounding(found: Answer, oracle: Answer, halves: Answer) -> Answer:
    def widened(leaf: str, array: Any) -> Any:
        if leaf not in halves or array.shape != oracle[leaf].shape or array.dtype.itemsize >= MOST_BYTES:
            return array
        apart = array.astype(np.float64) - oracle[leaf]
        return oracle[leaf] + np.sign(apart) * np.maximum(np.abs(apart) - halves[leaf], 0.0)

    return {leaf: widened(leaf, array) for leaf, array in found.items()}


def _halves(oracle: Answer, own: Answer) -> Answer:
    """Half of the last place of every element of what JAX keeps narrower than float32 (IEEE 754-2019, 3.3)."""
    narrow = {leaf: a.dtype for leaf, a in own.items() if is_float(a) and a.dtype.itemsize < MOST_BYTES}
    bits = {leaf: int(jax.numpy.finfo(dtype).nmant) for leaf, dtype in narrow.items()}
    return {leaf: np.ldexp(1.0, np.frexp(oracle[leaf])[1] - 2 - bits[leaf]) for leaf in narrow}


class Course:
    """Goes on from a point, a step for every batch.

    Args:
        step: the training step.
        point: where to begin.
        batch: a batch like those to come.
        limit: the largest score that passes.
    """

    def __init__(self, step: Step, point: Point, batch: Batch, limit: float) -> None:
        self.limit = limit
        self._step, self._pure = jax.jit(step), step
        self._wide = in_float64(step, *point, batch.data, batch.labels)
        self._begin_at(point, batch)

    def begun_at(self, point: Point) -> Course:
        """The same course from another point, with what is compiled."""
        other = copy.copy(self)
        other._begin_at(point, self._before[2])
        return other

    def _begin_at(self, point: Point, batch: Batch) -> None:
        self._storage = jax.tree_util.tree_map(lambda leaf: leaf.dtype, point.state.params)
        self._begin, self._jax, self._oracle = point, point, point
        self._members = [_perturbed(point, np.random.default_rng(m)) for m in range(rules.MEMBERS)]
        self._before: tuple[Point, list[Point], Batch] = (point, self._members, batch)

    def alone(self, batches: Iterable[Batch]) -> Iterator[tuple[float, Point]]:
        """JAX's own training from the point on, in float32: the loss of each step, and where it leads to."""
        point = self._begin
        for batch in batches:
            found = self.go_on(point, batch)
            point = Point.after(found)
            yield float(found[LOSS]), point

    def go_on(self, point: Point, batch: Batch) -> dict[str, Any]:
        """JAX's step on `batch` from any point, in float32; see `answer` and `Point.after`."""
        found: dict[str, Any] = self._step(*point, batch.data, batch.labels)
        return found

    def advance(self, batch: Batch) -> Expected:
        """Take a step on `batch`."""
        self._before = (self._oracle, list(self._members), batch)
        oracle = self._oracle_step(self._oracle, batch)
        jax_found = self._step(*self._jax, batch.data, batch.labels)
        wide, raw = answer(oracle), answer(jax_found)
        halves = _halves(wide, raw)
        own, ensemble = _before_rounding(raw, wide, halves), Ensemble(wide)
        with ThreadPoolExecutor(2) as pool:
            for found in pool.map(lambda m: self._member(m, batch), range(rules.MEMBERS)):
                ensemble.add(_before_rounding(found, wide, halves))
        budgets = ensemble.budgets(SOURCE)
        if any(not budget.max for budget in budgets.values()):
            exact = [leaf for leaf, budget in budgets.items() if not budget.max]
            budgets |= self._by_rounding(wide, batch, exact)
        self._oracle, self._jax = self._stored(Point.after(oracle)), Point.after(jax_found)
        return Expected(int(own[STEP]), wide, own, budgets | _of_squares(wide, budgets, self.limit), halves)

    def _oracle_step(self, point: Point, batch: Batch) -> dict[str, Any]:
        found: dict[str, Any] = self._wide(*point, batch.data, batch.labels)
        return found

    def _stored(self, point: Point) -> Point:
        """What is kept of parameters that are narrower than float32 is rounded, in the oracle as well."""

        def store(array: Any, dtype: Any) -> Any:
            return np.asarray(array).astype(dtype) if dtype.itemsize < MOST_BYTES else array

        params = jax.tree_util.tree_map(store, point.state.params, self._storage)
        return point._replace(state=point.state._replace(params=params))

    def _member(self, member: int, batch: Batch) -> Answer:
        rng = np.random.default_rng((member, int(self._members[member].step)))
        seen = batch.map(lambda array: rules.perturb(array, rng))
        found = self._step(*self._members[member], seen.data, seen.labels)
        self._members[member] = Point.after(found)
        return answer(found)

    def _by_rounding(self, oracle: Answer, batch: Batch, leaves: list[str]) -> dict[str, Budget]:
        """Budgets where JAX cancels exactly, whatever is perturbed by an ulp: every rounded result is."""
        ensemble = Ensemble(oracle)
        for seed in range(rules.MEMBERS):
            ensemble.add(answer(self._rounded(seed, *self._jax, batch.data, batch.labels)))
        found = ensemble.budgets("one step with every rounded result perturbed by up to 1 ulp")
        return {leaf: found[leaf] for leaf in leaves}

    @cached_property
    def _rounded(self) -> Callable[..., Any]:
        batch = self._before[-1]
        return with_rounding(self._pure, *self._jax, batch.data, batch.labels)

    def power(self, expected: Expected) -> dict[str, float]:
        """By weight tensor, the smallest relative error before the last step that any rung of it would catch.

        The response is measured at a smaller error, signs drawn at random, in float64; see `parity.probes.power`.
        """
        point, _, batch = self._before
        leaves, tree = jax.tree_util.tree_flatten(point.state.params)
        found = {}
        for index, name in enumerate(named(point.state.params)):
            signs = 2 * np.random.default_rng(index).integers(0, 2, leaves[index].shape) - 1
            moved = np.asarray(leaves[index], np.float64) * (1 + rules.PROBED_WITH * signs)
            params = jax.tree_util.tree_unflatten(tree, [*leaves[:index], moved, *leaves[index + 1 :]])
            step = answer(self._oracle_step(point._replace(state=point.state._replace(params=params)), batch))
            seen = {leaf: budget for leaf, budget in expected.budgets.items() if leaf not in expected.halves}
            apart = {leaf: distance(step[leaf], expected.oracle[leaf]) for leaf in seen}
            response = max(rules.score(apart[leaf], budget) for leaf, budget in seen.items())
            found[name] = rules.PROBED_WITH * self.limit / response if response else math.inf
        return found

    def beyond_kinks(self, expected: Expected) -> Iterator[Answer]:
        """The oracle's answers to the last step from points a few ulp away that lie beyond a kink; mostly none."""
        point, members, batch = self._before
        centre, near = point.map(np.asarray), [member.map(np.asarray) for member in members]
        around = (
            {GRADIENT: answer(self._oracle_step(kinks.farther(centre, member, times), batch))}
            for member in near
            for times in kinks.SCALES
        )
        budgets = {GRADIENT: {leaf: b for leaf, b in expected.budgets.items() if rung(leaf) == GRADIENT}}
        for found in kinks.beyond({GRADIENT: expected.oracle}, around, budgets, self.limit):
            yield found[GRADIENT]


def _perturbed(point: Point, rng: np.random.Generator) -> Point:
    """`point` with every parameter, statistic and moment off by up to one ulp; narrow parameters are as they are."""
    return point.map(lambda a: rules.perturb(np.asarray(a), rng) if _is_wide(a) else a)


def _is_wide(array: Any) -> bool:
    return is_float(array) and array.dtype.itemsize >= MOST_BYTES


def _of_squares(oracle: Answer, budgets: dict[str, Budget], limit: float) -> dict[str, Budget]:
    """Budgets of the moments that are squares, wide enough for a gradient off by as much as `limit` allows.

    A gradient of k budgets that is n budgets off is off by 2kn + n**2 in its square, and the ensemble, for which n is
    1, by 2k + 1. At n = limit that is (2k + limit) / (2k + 1) times what `limit` allows; about 1 where a gradient is
    more than rounding, and `limit` where it is nothing else, as that of a bias in front of a normalisation is.
    """
    found = {}
    for leaf, budget in budgets.items():
        named = [g for g in budgets if rung(g) == GRADIENT and leaf.endswith(g.removeprefix(GRADIENT))]
        if rung(leaf) == MOMENTS and named and not (oracle[leaf] < 0).any():
            parameter = max(named, key=len)  # of `w` and `z/w`, which end alike, its own
            size, gradient = distance(oracle[parameter], 0 * oracle[parameter]), budgets[parameter]
            k = size.rms / gradient.rms if gradient.rms else math.inf
            if math.isinf(k):
                continue  # nothing rounds a gradient that is exactly zero
            factor = (2 * k + limit) / (2 * k + 1)
            found[leaf] = replace(budget, rms=budget.rms * factor, max=budget.max * factor)
    return found
