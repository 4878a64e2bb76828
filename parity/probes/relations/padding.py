"""Rows added behind a batch change nothing, be they examples or extreme values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.probes.relations._relation import PREDICT, Relation, alike, of_any_batch, of_rows, predictions, rows
from parity.scoring import rules

if TYPE_CHECKING:
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    batch = subject.batch(size)
    larger = [s for s in subject.announced_sizes(place.runtime, PREDICT) if s > batch.size]
    # Without a larger batch in the run, the batch is shortened by its last row: split_batch compiles that size as well.
    padded = subject.batch(larger[0]) if larger else batch
    batch = batch if larger else batch.take(batch.size - 1)
    expected, chosen = of_rows(subject, predictions(subject, place, batch)), slice(0, batch.size)
    extreme = padded.along(lambda array, axis: _extreme(array, batch.size, axis))
    for name, filled in (("examples", padded), ("extreme", extreme)):
        found = rows(subject, of_rows(subject, predictions(subject, place, filled)), chosen)
        yield from alike(subject, size, name, found, expected, "the batch without padding")


def _extreme(array: Any, start: int, axis: int) -> Any:
    """Return `array` with floats from row `start` on at the ends of their range; integers may be identifiers."""
    if not rules.is_float(array):
        return array
    import jax.numpy as jnp

    largest = float(jnp.finfo(array.dtype).max)
    changed = np.array(array)
    after = changed[(slice(None),) * axis + (slice(start, None),)]
    after[...] = largest * np.where(np.arange(after.size) % 2, -1.0, 1.0).reshape(after.shape)
    return changed


RELATION = Relation("padding", _results, of_any_batch, order=2, of_rows=True, other_sizes=True)
