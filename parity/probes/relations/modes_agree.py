"""Eager, graph and XLA agree with each other on every probe that has a budget."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from parity.probes.relations._relation import Relation, alike, evaluations
from parity.runtimes import registry
from parity.runtimes.base import CASE, EVALUATIONS
from parity.scoring import rules

if TYPE_CHECKING:
    from parity.probes.declaration import Scope
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _modes() -> list[str]:
    declared = ((runtime.name, runtime.capabilities) for runtime in registry.runtimes().values())
    return [name for name, can in declared if can.source == CASE and can.mode is not None]


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    batch = subject.batch(size)
    for evaluation in (e for e in evaluations(subject) if e != rules.ACCURACY):
        own = subject.evaluate(place.runtime, evaluation, batch)
        answers = {mode: subject.evaluate(mode, evaluation, batch, like=own) for mode in _modes()}
        for one, other in itertools.combinations(_modes(), 2):
            for probe in (p for p in EVALUATIONS[evaluation] if p in subject.case.probes):
                found, expected = answers[other].get(probe, {}), answers[one].get(probe, {})
                yield from alike(subject, size, f"{one}-{other}/{probe}", found, expected, one, probe)


def _runtimes(scope: Scope) -> list[str]:
    """Return the last of the modes, where all of them are selected: the relation is about them together."""
    selected = [name for name in scope.having(lambda can: can.mode is not None) if name in _modes()]
    return selected[-1:] if selected == _modes() else []


RELATION = Relation("modes_agree", _results, _runtimes, probe=None, order=6)
