"""The reference trajectory: training that stays in JAX, in float32, in float64, and as an ensemble of float32 members.

The members round every result at random; see `parity.scoring.rounding`. Their distance from the float64 oracle after a
step is the budget of that step: where training is chaotic, budgets grow as it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from parity.cases.functions import named
from parity.cases.specs import MOST_BYTES, Answer, Batch
from parity.core import memory
from parity.handover import GRADIENT, LOSS, MOMENTS, STEP, stage
from parity.handover.train_state import Step, TrainState, answer
from parity.scoring import kinks, rules
from parity.scoring.arithmetic import in_float64
from parity.scoring.compare import distance, is_float
from parity.scoring.perturbation import perturb
from parity.scoring.rounding import with_rounding
from parity.scoring.rules import Budget, Ensemble

SOURCE = f"{rules.MEMBERS} trainings, {rules.AT_RANDOM}"


@dataclass(frozen=True)
class ExpectedStep:
    """What a step must answer.

    Attributes:
        number: of the step, counted from the start of training.
        oracle: the float64 answer by leaf. Where JAX keeps less than float32, it is the value before rounding.
        jax: JAX's own answer.
        budgets: of every float leaf.
        halves: half of the last place of each element of a leaf that is kept in less than float32.
    """

    number: int
    oracle: Answer
    jax: Answer
    budgets: dict[str, Budget]
    halves: Answer

    def comparable(self, found: Answer) -> Answer:
        """Return `found`, its narrow leaves moved towards the oracle by up to what rounding them may have cost."""
        return _before_rounding(found, self.oracle, self.halves)


class CompiledStep:
    """A training step, compiled once for all trajectories that take it.

    Args:
        step: the pure function.
        train_state: a state of the same shapes and dtypes as those to come.
        batch: a batch of the same shapes and dtypes as those to come.
    """

    def __init__(self, step: Step, train_state: TrainState, batch: Batch) -> None:
        self._step, self._example = step, (*train_state, batch.data, batch.labels)
        self.float32: Step = jax.jit(step)
        self.float64: Step = in_float64(step, *self._example)

    @cached_property
    def rounded(self) -> Callable[..., Any]:
        """The step with every rounded result off at random; takes a seed before the other arguments.

        What it stores in a narrower dtype is rounded as JAX does; see `ExpectedStep.comparable`.
        """
        return with_rounding(self._step, *self._example, conversions=False)


class ReferenceTrajectory:
    """Trains on in JAX, one step for every batch.

    Args:
        step: the compiled training step.
        begin: the state to start from.
        limit: the largest score that passes.
    """

    def __init__(self, step: CompiledStep, begin: TrainState, limit: float) -> None:
        self.step, self.begin, self.limit = step, begin, limit
        self._storage = jax.tree_util.tree_map(lambda leaf: leaf.dtype, begin.state.params)
        self._jax = self._oracle = begin
        self._members = [begin] * rules.MEMBERS
        self._before: TrainState
        self._taken: list[Batch] = []

    def jax_step(self, train_state: TrainState, batch: Batch) -> dict[str, Any]:
        """Return JAX's float32 result of one step from any state; see `answer` and `TrainState.after`."""
        return self.step.float32(*train_state, batch.data, batch.labels)

    def jax_alone(self, batches: Iterable[Batch]) -> Iterator[tuple[float, TrainState]]:
        """Train in JAX alone, in float32, from the start: yield the loss of each step and the state after it."""
        train_state = self.begin
        for batch in batches:
            result = self.jax_step(train_state, batch)
            train_state = TrainState.after(result)
            yield float(result[LOSS]), train_state

    def advance(self, batch: Batch) -> ExpectedStep:
        """Take the next step on `batch`."""
        self._before = self._oracle
        self._taken.append(batch)
        oracle, result = self._oracle_step(self._oracle, batch), self.jax_step(self._jax, batch)
        wide, raw = answer(oracle), answer(result)
        halves = _halves(wide, raw)
        own, ensemble = _before_rounding(raw, wide, halves), Ensemble(wide, with_bias=False)
        for member in range(rules.MEMBERS):
            ensemble.add(_before_rounding(self._member(member, batch), wide, halves))
            memory.give_back()
        budgets = ensemble.budgets(SOURCE)
        self._oracle, self._jax = self._stored(TrainState.after(oracle)), TrainState.after(result)
        budgets |= _of_squares(wide, budgets, self.limit)
        return ExpectedStep(int(own[STEP]), wide, own, budgets, halves)

    def _oracle_step(self, train_state: TrainState, batch: Batch) -> dict[str, Any]:
        return self.step.float64(*train_state, batch.data, batch.labels)

    def _stored(self, train_state: TrainState) -> TrainState:
        """Round the parameters that JAX keeps in less than float32, in the oracle as well."""

        def store(array: Any, dtype: Any) -> Any:
            return np.asarray(array).astype(dtype) if dtype.itemsize < MOST_BYTES else array

        params = jax.tree_util.tree_map(store, train_state.state.params, self._storage)
        return train_state._replace(state=train_state.state._replace(params=params))

    def _member(self, member: int, batch: Batch) -> Answer:
        result = self._member_step(member, self._members[member], batch)
        self._members[member] = TrainState.after(result)
        return answer(result)

    def _member_step(self, member: int, train_state: TrainState, batch: Batch) -> dict[str, Any]:
        seed = member + rules.MEMBERS * int(train_state.step)
        return self.step.rounded(seed, *train_state, batch.data, batch.labels)  # type: ignore[no-any-return]

    def _member_before(self, member: int) -> TrainState:
        """Return where a member was before the last step; its steps are taken again, so that no state is kept."""
        train_state = self.begin
        for batch in self._taken[:-1]:
            train_state = TrainState.after(self._member_step(member, train_state, batch))
        return train_state

    def power(self, expected: ExpectedStep) -> dict[str, float]:
        """Return, by weight tensor, the smallest relative error before the last step that any stage of it would catch.

        The response is measured in float64 at a smaller error with random signs; see `parity.probes.power`.
        """
        train_state, batch = self._before, self._taken[-1]
        leaves, tree = jax.tree_util.tree_flatten(train_state.state.params)
        seen = {leaf: budget for leaf, budget in expected.budgets.items() if leaf not in expected.halves}
        found = {}
        for index, name in enumerate(named(train_state.state.params)):
            signs = 2 * np.random.default_rng(index).integers(0, 2, leaves[index].shape) - 1
            moved = np.asarray(leaves[index], np.float64) * (1 + rules.PROBED_WITH * signs)
            params = jax.tree_util.tree_unflatten(tree, [*leaves[:index], moved, *leaves[index + 1 :]])
            state = train_state.state._replace(params=params)
            step = answer(self._oracle_step(train_state._replace(state=state), batch))
            response = max(rules.score(distance(step[k], expected.oracle[k]), budget) for k, budget in seen.items())
            found[name] = rules.PROBED_WITH * self.limit / response if response else math.inf
        return found

    def beyond_kinks(self, expected: ExpectedStep) -> Iterator[Answer]:
        """Yield the oracle's answers to the last step from states a few ulp away, beyond a kink; mostly none."""
        centre, batch = self._before.map(np.asarray), self._taken[-1]
        members = (
            _perturbed(self._member_before(member), np.random.default_rng(member)).map(np.asarray)
            for member in range(rules.MEMBERS)
        )
        around = (
            {GRADIENT: answer(self._oracle_step(kinks.farther(centre, member, times), batch))}
            for member in members
            for times in kinks.SCALES
        )
        budgets = {GRADIENT: {leaf: b for leaf, b in expected.budgets.items() if stage(leaf) == GRADIENT}}
        for found in kinks.beyond({GRADIENT: expected.oracle}, around, budgets, lambda _: self.limit):
            yield found[GRADIENT]


def _perturbed(train_state: TrainState, rng: np.random.Generator) -> TrainState:
    """Move every float32 parameter, statistic and moment by up to one ulp."""

    def moved(array: Any) -> Any:
        wide = is_float(array) and array.dtype.itemsize >= MOST_BYTES
        return perturb(np.asarray(array), rng) if wide else array

    return train_state.map(moved)


def _before_rounding(found: Answer, oracle: Answer, halves: Answer) -> Answer:
    def widened(leaf: str, array: Any) -> Any:
        if leaf not in halves or array.shape != oracle[leaf].shape or array.dtype.itemsize >= MOST_BYTES:
            return array
        apart = array.astype(np.float64) - oracle[leaf]
        return oracle[leaf] + np.sign(apart) * np.maximum(np.abs(apart) - halves[leaf], 0.0)

    return {leaf: widened(leaf, array) for leaf, array in found.items()}


def _halves(oracle: Answer, own: Answer) -> Answer:
    """Return half of the last place of each element that JAX keeps in less than float32 (IEEE 754-2019, 3.3)."""
    bits = {
        leaf: int(jax.numpy.finfo(array.dtype).nmant)
        for leaf, array in own.items()
        if is_float(array) and array.dtype.itemsize < MOST_BYTES
    }
    return {leaf: np.ldexp(1.0, np.frexp(oracle[leaf])[1] - 2 - digits) for leaf, digits in bits.items()}


def _of_squares(oracle: Answer, budgets: dict[str, Budget], limit: float) -> dict[str, Budget]:
    """Return wider budgets for moments that are squares, so that they allow what `limit` allows their gradient.

    A gradient of k budgets that is n budgets off is off by 2kn + n**2 in its square, and the ensemble, for which n is
    1, by 2k + 1. At n = limit that is (2k + limit) / (2k + 1) times what `limit` allows; about 1 where a gradient is
    more than rounding, and `limit` where it is nothing else, as that of a bias in front of a normalisation is.
    """
    found = {}
    for leaf, budget in budgets.items():
        named = [g for g in budgets if stage(g) == GRADIENT and leaf.endswith(g.removeprefix(GRADIENT))]
        if stage(leaf) == MOMENTS and named and not (oracle[leaf] < 0).any():
            parameter = max(named, key=len)  # both `w` and `z/w` end alike: the longer name is its own
            size, gradient = distance(oracle[parameter], 0 * oracle[parameter]), budgets[parameter]
            k = size.rms / gradient.rms if gradient.rms else math.inf
            if math.isfinite(k):  # nothing rounds a gradient that is exactly zero
                factor = (2 * k + limit) / (2 * k + 1)
                found[leaf] = replace(budget, rms=budget.rms * factor, max=budget.max * factor)
    return found
