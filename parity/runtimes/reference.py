"""What answers are compared with: JAX's answers, the oracle's, and the budgets, each computed once for a subject."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from parity.core import memory
from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.ledger import FRAMEWORKS
from parity.records import BudgetRecord
from parity.runtimes import registry
from parity.runtimes.base import CALLS, EVALUATION_OF, EVALUATIONS, FIRST_CPU, ORACLE, REFERENCE, Answers, with_derived
from parity.runtimes.by_probe import ByProbe
from parity.runtimes.precision import SINGLE

if TYPE_CHECKING:
    import numpy as np

    from parity.cases.case import State
    from parity.cases.specs import Answer, Batch
    from parity.core.arrays import Array
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import Budget, Ensemble

Budgets = ByProbe[dict[str, "Budget"]]
"""Budgets by probe and leaf."""
Asked = tuple[str, int]
"""An evaluation, and a batch size."""


class ReferenceAnswers:
    """The answers that all runtimes of a subject are compared with, each computed once.

    `with_kinks` is whether the oracle can be asked about other states and batches.
    """

    def __init__(self, subject: Subject, with_kinks: bool = True) -> None:
        self._subject, self._with_kinks = subject, with_kinks
        self._answers: dict[tuple[str, str, int, str], ByProbe[Answer]] = {}
        self._budgets: dict[Asked, Budgets] = {}
        self._held_out: dict[Asked, dict[str, list[float]]] = {}
        self._unrounded: dict[tuple[bool, Asked], dict[str, set[str]]] = {}
        self._beyond_kinks: dict[Asked, list[tuple[int, float]]] = {}
        self._no_oracle: dict[tuple[str, int, str], RuntimeFailureError] = {}

    def without(self, runtimes: Collection[str], subject: Subject) -> ReferenceAnswers:
        """Return a copy for `subject` that has forgotten the answers of `runtimes`; budgets are kept, kinks shared."""
        other = ReferenceAnswers(subject, self._with_kinks and self.oracle not in runtimes)
        other._answers = {key: found for key, found in self._answers.items() if key[0] not in runtimes}
        other._budgets, other._beyond_kinks = dict(self._budgets), self._beyond_kinks
        other._held_out = dict(self._held_out)
        other._unrounded = {} if self.jax in runtimes else dict(self._unrounded)
        if self.oracle not in runtimes:
            other._no_oracle = dict(self._no_oracle)
        return other

    @property
    def jax(self) -> str:
        """The name of the reference runtime."""
        return registry.with_role(REFERENCE).name

    @property
    def oracle(self) -> str:
        """The name of the oracle."""
        return registry.with_role(ORACLE).name

    def answers(self, runtime: str, evaluation: str, size: int, device: str = FIRST_CPU) -> ByProbe[Answer]:
        """Return the answers of JAX or the oracle by probe.

        Where the oracle fails, JAX's own answers stand in for it: runtimes are then held to JAX; see `require_oracle`.
        """
        batch = self._subject.batch(size)
        key = (runtime, evaluation, batch.size, device)
        if key not in self._answers:
            try:
                self._answers[key] = self._subject.compute(runtime, evaluation, batch, device)
            except RuntimeFailureError as error:
                if runtime != self.oracle:
                    raise
                self._answers[key] = _widened(self.answers(self.jax, evaluation, size, device))
                self._no_oracle[key[1:]] = RuntimeFailureError(f"{error} Runtimes are held to JAX's answers instead.")
        return self._answers[key]

    def _has_oracle(self, evaluation: str, size: int) -> bool:
        return not any(key[:2] == (evaluation, self._subject.batch(size).size) for key in self._no_oracle)

    def require_oracle(self, evaluation: str, size: int, device: str = FIRST_CPU) -> None:
        """Check that the oracle answered an evaluation.

        Raises:
            RuntimeFailureError: how it failed.
        """
        self.answers(self.oracle, evaluation, size, device)
        failed = self._no_oracle.get((evaluation, self._subject.batch(size).size, device))
        if failed is not None:
            raise failed.with_traceback(None)

    def budgets(self, evaluation: str, size: int) -> Budgets:
        """Return the budgets by probe and leaf, from evaluations in JAX with every rounded result off at random."""
        from parity.scoring import rules

        batch = self._subject.batch(size)
        key = (evaluation, batch.size)
        if key not in self._budgets:
            oracle = self.answers(self.oracle, evaluation, batch.size)
            found = _budgets(oracle, self._members(key, batch))
            with suppress(ParityError, KeyError, ValueError):  # it fails where it is asked for as an answer
                further = self.member(evaluation, batch, rules.MEMBERS)
                self._held_out[key] = {
                    probe: [rules.score_of(further[probe][leaf], oracle[probe][leaf], b) for leaf, b in by_leaf.items()]
                    for probe, by_leaf in found.items()
                }
            self._budgets[key] = found
        return self._budgets[key]

    def member(self, evaluation: str, batch: Batch, seed: int) -> Answers:
        """Return JAX's answers with every rounded result off at random."""
        [found] = self._rounded(evaluation, batch, range(seed, seed + 1))
        return found

    def _members(self, key: Asked, batch: Batch) -> Iterator[Answers]:
        """Yield the members of an ensemble, and note which leaves the first of them has as JAX has them."""
        from parity.scoring import rules

        for member, answers in enumerate(self._rounded(key[0], batch, range(rules.MEMBERS))):
            if not member:
                self._unrounded[False, key] = self._unchanged(key, answers)
            yield answers

    def _unchanged(self, key: Asked, answers: Answers) -> dict[str, set[str]]:
        """Return by probe the leaves of JAX's answers that `answers` have to the bit."""
        own = self.answers(self.jax, *key)
        return {
            probe: {leaf for leaf, array in answer.items() if _same_bits(array, own.get(probe, {}).get(leaf))}
            for probe, answer in answers.items()
            if probe not in own.failed
        }

    def _perturbed_state(self, seed: int) -> State:
        import jax
        import numpy as np

        from parity.cases.case import State
        from parity.scoring.perturbation import perturb

        rng, state = np.random.default_rng(seed), self._subject.trained.state
        params, other = jax.tree_util.tree_map(lambda a: perturb(a, rng), (state.params, state.other))
        return State(params, other, state.rng)

    def held_out(self, evaluation: str, size: int) -> dict[str, list[float]]:
        """Return by probe the score of every leaf in a further evaluation like those that budgets are made of.

        They are noted while budgets are made, without a look beyond kinks; empty where that failed.
        """
        self.budgets(evaluation, size)
        return self._held_out.get((evaluation, self._subject.batch(size).size), {})

    def unrounded(self, evaluation: str, size: int, inexact_alone: bool) -> dict[str, set[str]]:
        """Return by probe the leaves on the way to which JAX rounds nothing, or nothing to another value.

        They are as they were in an evaluation with every rounded result off, or, where `inexact_alone`, with those that
        float64 has not the same.
        """
        batch = self._subject.batch(size)
        key = (inexact_alone, (evaluation, batch.size))
        self.budgets(evaluation, size)
        if key not in self._unrounded:
            how = {"inexact_alone": True} if inexact_alone else {}
            [found] = self._rounded(evaluation, batch, range(1), **how)
            self._unrounded[key] = self._unchanged(key[1], found)
        return self._unrounded[key]

    def with_wide_sums(self, evaluation: str, size: int) -> Budgets:
        """Return budgets from evaluations that add in float64, which tell where the oracle lies; nothing is kept."""
        from parity.scoring import rules

        oracle, batch = self.answers(self.oracle, evaluation, size), self._subject.batch(size)
        return _budgets(oracle, self._rounded(evaluation, batch, range(rules.MEMBERS), sums_in_float64=True))

    def _rounded(self, evaluation: str, batch: Batch, seeds: range, **how: bool) -> Iterator[Answers]:
        from parity.cases.functions import flatten

        runtime, values = self._subject.runtime(self.jax), flatten(self._subject.trained.state)
        for seed in seeds:
            with self._subject.ledger.spend(FRAMEWORKS):
                found = runtime.compute_with_rounding(values, evaluation, batch, seed, **how)
                yield with_derived(evaluation, found, self.jax)
                del found
                memory.give_back()

    def at(self, runtime: str, state: State, evaluation: str, batch: Batch) -> Answers:
        """Return a runtime's answers from another state, by probe; nothing is kept."""
        from parity.cases.functions import flatten

        opened = self._subject.runtime(runtime)
        with self._subject.ledger.spend(FRAMEWORKS):
            answers = opened.compute_at(flatten(state), evaluation, batch, FIRST_CPU)  # float64 batches are no input
            memory.give_back()
            return with_derived(evaluation, answers, runtime)

    def records(self, probe: str, size: int) -> list[BudgetRecord]:
        """Return the budgets of a probe as records, with their source."""
        size, case = self._subject.batch(size).size, self._subject.case.name
        budgets = self.budgets(EVALUATION_OF[probe], size)[probe]
        return [BudgetRecord(case, probe, size, leaf, b.rms, b.max, b.source) for leaf, b in budgets.items()]

    def leaves(self, probe: str, size: int) -> list[str]:
        """Return what an answer must have: the leaves of JAX's answer, and of gradients and statistics the state's."""
        from parity.export.conversion import state_leaves

        found = list(self.answers(self.jax, EVALUATION_OF[probe], size).get(probe, ()))
        state = state_leaves(self._subject.trained.state)
        required = {
            "eval_gradient": [s.leaf for s in state if s.trainable],
            "train_gradient": [f"call_{call}/{s.leaf}" for call in CALLS for s in state if s.trainable],
            "batch_stats": [f"call_{call}/{s.leaf}" for call in CALLS for s in state if not s.trainable],
        }
        return list(dict.fromkeys([*found, *required.get(probe, ())]))

    def beyond_kinks(self, evaluation: str, size: int) -> Iterator[Answers]:
        """Yield the oracle's answers to batches and states a few ulp away that lie beyond a kink; mostly none."""
        if not self._with_kinks or not self._has_oracle(evaluation, size):
            return  # what stands in for the oracle answers about one state only
        key = (evaluation, self._subject.batch(size).size)
        if key not in self._beyond_kinks:
            self._beyond_kinks[key] = sorted(self._places_beyond_kinks(evaluation, size))
        for member, times in self._beyond_kinks[key]:
            yield self._farther(evaluation, size, member, times)

    def around(self, evaluation: str, size: int) -> Iterator[Answers]:
        """Yield answers that lie around the oracle's as closely as correct ones; see `parity.scoring.ties`.

        They are the oracle's, to batches and states up to the limit of ulp away; of a case that computes in another
        dtype than float32, JAX's with every result rounded at random.
        """
        from parity.scoring import rules, ties

        if not self._with_kinks:
            return
        if not self._subject.dtypes <= SINGLE:
            yield from self._rounded(evaluation, self._subject.batch(size), range(ties.ROUNDINGS))
        elif self._has_oracle(evaluation, size):
            for member, times in itertools.product(range(rules.MEMBERS), ties.rays(self._limit_of(evaluation))):
                yield self._farther(evaluation, size, member, times)

    def _limit_of(self, evaluation: str) -> float:
        return max(map(self._subject.limit_of, EVALUATIONS[evaluation]))

    def _places_beyond_kinks(self, evaluation: str, size: int) -> Iterator[tuple[int, float]]:
        """Yield the seed of a member of the ensemble and how many times as far it lies, wherever gradients jump."""
        from parity.scoring import kinks, rules

        oracle, budgets = self.answers(self.oracle, evaluation, size), self.budgets(evaluation, size)
        for member, ray in itertools.product(range(rules.MEMBERS), kinks.RAYS):
            for times in ray:
                far = self._farther(evaluation, size, member, times)
                if not kinks.jumped(far, oracle, budgets, self._subject.limit_of):
                    break
                yield member, times

    def _farther(self, evaluation: str, size: int, member: int, times: float) -> Answers:
        """Return the oracle's answers from the state and batch of a member of the ensemble, moved further away."""
        from parity.cases.case import State
        from parity.scoring import kinks

        state, batch = self._subject.trained.state, self._subject.batch(size)
        near, moved = self._perturbed_state(member), _perturbed_batch(batch, member)
        params, other = kinks.farther((state.params, state.other), (near.params, near.other), times)
        data, labels = kinks.farther((batch.data, batch.labels), (moved.data, moved.labels), times)
        return self.at(
            self.oracle, State(params, other, state.rng), evaluation, replace(batch, data=data, labels=labels)
        )

    def ambiguous_rows(self, size: int) -> int:
        """Return how many examples have their two best scores too close to tell the runtimes' argmax apart."""
        from parity.scoring import accuracy

        scores = self.answers(self.oracle, "predict", size)["predict"]
        budgets = self.budgets("predict", size)["predict"]
        limit, rows = self._subject.limit_of("predict"), self._subject.batch(size).size
        found = [leaf for leaf in budgets if scores[leaf].shape[:1] == (rows,)]  # a table has no examples
        return max((accuracy.ambiguous_rows(scores[leaf], budgets[leaf], limit) for leaf in found), default=0)


def _same_bits(array: Array, other: Array | None) -> bool:
    return other is not None and array.tobytes() == other.tobytes()


def _widened(answers: ByProbe[Answer]) -> ByProbe[Answer]:
    from parity.scoring.compare import is_float, widen

    widened = {p: {x: widen(a) if is_float(a) else a for x, a in answer.items()} for p, answer in answers.items()}
    return ByProbe(widened, answers.failed)


def _perturbed_batch(batch: Batch, seed: int) -> Batch:
    import numpy as np

    from parity.scoring.perturbation import perturb

    rng: np.random.Generator = np.random.default_rng((seed, batch.size))
    return batch.map(lambda array: perturb(array, rng))


def _budgets(oracle: ByProbe[Answer], members: Iterable[Answers]) -> Budgets:
    import jax

    from parity.scoring import rules

    ensembles = ByProbe(
        {probe: rules.Ensemble(answer, in_parts=probe == "predict") for probe, answer in oracle.items()}, oracle.failed
    )
    for answers in members:
        for probe, ensemble in list(ensembles.items()):
            ensembles.make(probe, partial(_joined, ensemble, answers))
    source = (
        f"{rules.MEMBERS} evaluations, jax {jax.__version__} on {FIRST_CPU}; {rules.AT_RANDOM}, "
        f"seeds 0 to {rules.MEMBERS - 1}"
    )
    return ByProbe({probe: ensemble.budgets(source) for probe, ensemble in ensembles.items()}, ensembles.failed)


def _joined(ensemble: Ensemble, answers: Answers, probe: str) -> Ensemble:
    """Return the ensemble with one answer more."""
    try:
        ensemble.add(answers[probe])
    except (KeyError, ValueError) as error:
        raise RuntimeFailureError(
            f"probe {probe!r}: an answer of the ensemble that budgets are made of has other leaves or shapes than the "
            f"oracle's: {error}. Expected leaves and shapes that do not depend on values."
        ) from error
    return ensemble
