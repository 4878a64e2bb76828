"""The artifact, saved again by a process that loaded it, gives every answer to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from parity.probes.relations._relation import Relation, identical, predictions, prefixed
from parity.runtimes import registry
from parity.scoring import rules

if TYPE_CHECKING:
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    from parity.export import artifact
    from parity.probes.artifact import serve

    saver = next(runtime.name for runtime in registry.runtimes().values() if runtime.capabilities.saves_again)
    again, other = subject.runtime(saver).save_again(), "the model that was saved first"
    model = replace(subject.runtime(place.runtime).model, bundle=again)
    yield from identical(subject, place, size, model, other)
    batch = subject.batch(size)
    if subject.case.has_own_artifact:
        return  # a signature of it may be called in another way
    served = serve(artifact.load(again / "saved_model"), batch) or {}
    expected = artifact.served(predictions(subject, place, batch))
    yield from prefixed("serving_default", rules.judge_identical(served, expected, other))


RELATION = Relation("saved_again", _results, lambda scope: scope.reader, probe=None, order=5)
