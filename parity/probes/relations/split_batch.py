"""Predicting two parts of a batch equals predicting the whole: rows do not leak into each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from parity.probes.relations._relation import Relation, alike, of_any_batch, of_rows, predictions, rows

if TYPE_CHECKING:
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    batch = subject.batch(size)
    whole = of_rows(subject, predictions(subject, place, batch))
    for name, chosen in (("first_rows", slice(0, batch.size - 1)), ("last_row", slice(batch.size - 1, None))):
        part = of_rows(subject, predictions(subject, place, batch.rows(chosen)))
        yield from alike(subject, size, name, part, rows(subject, whole, chosen), "the whole batch")


RELATION = Relation("split_batch", _results, of_any_batch, of_rows=True, other_sizes=True)
