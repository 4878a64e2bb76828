"""Score the answer of a runtime: against the oracle within its budgets, or as the probe has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from parity.core.errors import ParityError
from parity.records import MISSING, NO_DEVICE
from parity.runtimes import registry
from parity.runtimes.base import CANDIDATE, EVALUATION_OF, EVALUATIONS, FIRST_CPU, ORACLE, REFERENCE, Answers
from parity.runtimes.by_probe import ByProbe
from parity.scoring import accuracy, kinks, rules, ties
from parity.scoring.oracle import judge_oracle
from parity.scoring.rules import LeafResult

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Array
    from parity.runtimes.subject import Subject

RNG = "rng"
Results = ByProbe[list[LeafResult]]
"""Results by probe; of one whose answer could not be derived, why."""


@dataclass(frozen=True)
class Place:
    """Where a question is answered: a runtime, and the devices of the two sides."""

    runtime: str
    jax_device: str = FIRST_CPU
    tf_device: str = FIRST_CPU

    @property
    def device(self) -> str:
        """The device on the runtime's own side."""
        return self.tf_device if self.role == CANDIDATE and self.tf_device != NO_DEVICE else self.jax_device

    @property
    def role(self) -> str:
        """The role of the runtime."""
        return registry.require(self.runtime).capabilities.role


class Scores:
    """The results of a subject's runtimes, by evaluation, kept so that several probes share one evaluation."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._kept: dict[tuple[str, int, Place], Results | ParityError] = {}

    def results(self, probe: str, place: Place, size: int) -> list[LeafResult]:
        """Return the result of every leaf of an answer; a leaf that has none is `missing`.

        Raises:
            ParityError: the runtime failed, for every probe of this evaluation; or the probe's `derive` did.
        """
        evaluation, size = EVALUATION_OF[probe], self._subject.batch(size).size
        key = (evaluation, size, place)
        if key not in self._kept:
            try:
                self._kept[key] = evaluate(self._subject, evaluation, place, size)
            except ParityError as error:
                self._kept[key] = error
        found = self._kept[key]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        results = found[probe]
        scored = {result.leaf for result in results}
        unscored = [leaf for leaf in self._subject.reference.leaves(probe, size) if leaf not in scored]
        return [*results, *(LeafResult(leaf, MISSING, message="was not scored") for leaf in unscored)]


def score(subject: Subject, probe: str, place: Place, size: int) -> list[LeafResult]:
    """Return the result of every leaf of a runtime's answer to `probe`, at a batch size.

    Raises:
        ParityError: the runtime failed.
    """
    return subject.shared(Scores).results(probe, place, size)


def evaluate(subject: Subject, evaluation: str, place: Place, size: int) -> Results:
    """Return the results of all probes of an evaluation, computed anew."""
    reference = subject.reference
    oracle, jax = subject.kept(reference.oracle, evaluation, size), subject.kept(reference.jax, evaluation, size)
    if place.role == ORACLE:
        reference.require_oracle(evaluation, size)
        own = oracle if place.device == FIRST_CPU else subject.evaluate(
            place.runtime, evaluation, subject.batch(size), place.device
        )  # fmt: skip
        budgets = {} if evaluation == rules.ACCURACY else subject.budgets(evaluation, size)
        wide_sums = cache(lambda: reference.with_wide_sums(evaluation, size))
        judged = _each(
            evaluation,
            lambda probe: judge_oracle(
                own.get(probe, {}),
                jax[probe],
                oracle[probe],
                budgets.get(probe, {}),
                lambda inexact_alone: reference.unrounded(evaluation, size, inexact_alone).get(probe, ()),
                lambda: wide_sums()[probe],
            ),
        )
        return _all_without_ties(subject, evaluation, size, judged, own, jax)
    if place.role == REFERENCE:
        own = subject.kept(place.runtime, evaluation, size, place.device)
    else:
        own = subject.evaluate(place.runtime, evaluation, subject.batch(size), place.device)
        jax = subject.kept(reference.jax, evaluation, size, place.jax_device)
    if evaluation == rules.ACCURACY:
        ambiguous = reference.ambiguous_rows(size)
        mine, theirs, exact = (found.get(rules.ACCURACY, {}) for found in (own, jax, oracle))
        return ByProbe({rules.ACCURACY: [accuracy.judge(mine, theirs, exact, size, ambiguous)]})
    results = _within_budget(subject, evaluation, size, own, jax, oracle)
    if kinks.possible(results):
        for other in reference.beyond_kinks(evaluation, size):
            again = _within_budget(subject, evaluation, size, own, jax, other)
            explained = kinks.explained(again, results) if again.keys() == results.keys() else None
            if explained is not None:
                results.update(explained)
                break
    results = _all_without_ties(subject, evaluation, size, results, own, jax)
    if subject.observer is not None:
        budgets = subject.budgets(evaluation, size)
        subject.observer(
            place, size, results, lambda probe: (own.get(probe, {}), jax[probe], oracle[probe], budgets[probe])
        )
    return results


def _all_without_ties(
    subject: Subject, evaluation: str, size: int, results: Results, own: Answers, jax: Answers
) -> Results:  # fmt: skip
    for probe, found in results.items():
        if probe != RNG:  # no float decides a key
            results[probe] = _without_ties(subject, evaluation, size, probe, found, own.get(probe, {}), jax[probe])
    return results


def _without_ties(
    subject: Subject, evaluation: str, size: int, probe: str, found: list[LeafResult], own: Answer, jax: Answer
) -> list[LeafResult]:
    """Return the results of a probe, where integers differ at boundaries alone passed."""

    def around(leaf: str) -> Iterator[Array]:
        return (answers[probe][leaf] for answers in subject.reference.around(evaluation, size))

    return [
        ties.explained(result, own[result.leaf], jax[result.leaf], around(result.leaf))
        if ties.possible(result, own, jax)
        else result
        for result in found
    ]


def _within_budget(
    subject: Subject, evaluation: str, size: int, own: Answers, jax: Answers, oracle: Answers
) -> Results:  # fmt: skip
    budgets, limit_of = subject.budgets(evaluation, size), subject.limit_of
    return _each(
        evaluation,
        lambda probe: rules.judge(own.get(probe, {}), jax[probe], oracle[probe], budgets[probe], limit_of(probe)),
    )


def _each(evaluation: str, judge: Callable[[str], list[LeafResult]]) -> Results:
    results: Results = ByProbe()
    for probe in EVALUATIONS[evaluation]:
        results.make(probe, judge)
    return results
