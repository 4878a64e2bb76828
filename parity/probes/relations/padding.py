"""Rows added behind a batch change nothing, be they examples or extreme values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.probes.relations._relation import PREDICT, Relation, alike, of_any_batch, predictions, rows
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
    expected, chosen = predictions(subject, place, batch), slice(0, batch.size)
    for name, filled in (("examples", padded), ("extreme", padded.map(lambda array: _extreme(array, batch.size)))):
        found = rows(predictions(subject, place, filled), chosen)
        yield from alike(subject, size, name, found, expected, "the batch without padding")


def _extreme(array: Any, start: int) -> Any:
    """Return `array` with floats from row `start` on at the ends of their range; integers may be identifiers."""
    if not rules.is_float(array):
        return array
    import jax.numpy as jnp

    largest = float(jnp.finfo(array.dtype).max)
    signs = np.where(np.arange(array[start:].size) % 2, -1.0, 1.0).reshape(array[start:].shape)
    return np.concatenate([array[:start], (largest * signs).astype(array.dtype)])


RELATION = Relation("padding", _results, of_any_batch, order=2)
