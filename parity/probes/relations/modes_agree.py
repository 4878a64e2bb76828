"""Eager, graph and XLA agree with each other on every probe that has a budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from parity.probes.evaluation import Place, score
from parity.probes.relations._relation import Relation, alike, evaluations, limit_of_two, prefixed
from parity.records import PASS
from parity.runtimes import registry
from parity.runtimes.base import CASE, EVALUATIONS
from parity.scoring import rules
from parity.scoring.rules import LeafResult

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Batch
    from parity.probes.declaration import Scope
    from parity.runtimes.by_probe import ByProbe
    from parity.runtimes.subject import Subject


def _modes() -> list[str]:
    declared = ((runtime.name, runtime.capabilities) for runtime in registry.runtimes().values())
    return [name for name, can in declared if can.source == CASE and can.mode is not None]


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    for evaluation in (e for e in evaluations(subject) if e != rules.ACCURACY):
        answers = _answers(subject, place.runtime, evaluation, subject.batch(size))
        for one, other in itertools.combinations(_modes(), 2):
            for probe in (p for p in EVALUATIONS[evaluation] if p in subject.case.probes):
                found, name = _implied(subject, size, one, other, probe), f"{one}-{other}/{probe}"
                if found is None:
                    own, expected = answers(other).get(probe, {}), answers(one).get(probe, {})
                    yield from alike(subject, size, name, own, expected, one, probe)
                else:
                    yield from prefixed(name, found)


def _answers(subject: Subject, first: str, evaluation: str, batch: Batch) -> Callable[[str], ByProbe[Answer]]:
    """Return a function that returns the answers of a mode, computed once, after those of the `first`."""

    @cache
    def answers(mode: str) -> ByProbe[Answer]:
        return subject.evaluate(mode, evaluation, batch, like=None if mode == first else answers(first))

    return answers


def _implied(subject: Subject, size: int, one: str, other: str, probe: str) -> list[LeafResult] | None:
    """Return results for what follows from the scores of both, by the triangle inequality; None where it does not.

    Budgets are norms of the distance from the oracle, so two answers are no further apart than their scores together.
    A result with a message, such as one at a kink, may have been measured from somewhere else.
    """
    found = [{r.leaf: r for r in score(subject, probe, Place(name), size)} for name in (one, other)]
    limit, results = limit_of_two(subject, probe), []
    for leaf in sorted({*found[0], *found[1]}):
        pair = [of_mode.get(leaf) for of_mode in found]
        plain = [r for r in pair if r is not None and r.status == PASS and not r.message]
        scores = [r.score for r in plain if r.score is not None]
        if len(scores) < 2 or not sum(scores) <= limit:
            return None
        results.append(LeafResult(leaf, PASS, message=f"at most {sum(scores):.2g} apart, by the scores of both"))
    return results


def _runtimes(scope: Scope) -> list[str]:
    """Return the last of the modes, where all of them are selected: the relation is about them together."""
    selected = [name for name in scope.having(lambda can: can.mode is not None) if name in _modes()]
    return selected[-1:] if selected == _modes() else []


RELATION = Relation("modes_agree", _results, _runtimes, probe=None, order=6)
