"""The artifact, loaded a second time, gives every answer to the bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from parity.probes.relations._relation import Relation, identical, reading_artifact

if TYPE_CHECKING:
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _results(subject: Subject, place: Place, size: int) -> Iterable[LeafResult]:
    return identical(subject, place, size, subject.runtime(place.runtime).model, "the first load")


RELATION = Relation("two_loads", _results, reading_artifact, probe=None, order=4)
