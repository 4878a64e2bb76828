"""Predictions of permuted rows are the permuted predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.probes.relations._relation import Relation, alike, of_any_batch, of_rows, predictions, rows

if TYPE_CHECKING:
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def permutation(size: int) -> Any:
    """Return an order of rows, [size] int64, that is no shift and, from 4 rows, no reversal."""
    if size < 4:
        return np.arange(size)[::-1]
    draw = np.random.default_rng(0)
    while True:
        order = draw.permutation(size)
        if len(set(np.diff(order) % size)) > 1:  # the steps of a shift, and of a reversal, are all alike
            return order


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    batch = subject.batch(size)
    order = permutation(batch.size)
    expected = rows(subject, of_rows(subject, predictions(subject, place, batch)), order)
    found = of_rows(subject, predictions(subject, place, batch.rows(order)))
    yield from alike(subject, size, "", found, expected, "the batch in its own order")


RELATION = Relation("permuted_rows", _results, of_any_batch, order=1, of_rows=True)
