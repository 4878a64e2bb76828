"""Parts of an output that differ by orders of magnitude: a price beside a probability, numbers beside a mask of -1e9.

The budget of an array is that of its largest elements: 1 % of a probability disappears in it. So an array is parted in
two ways, by columns (the last axis), and into masks and the rest. Where the parts of one way are uneven, each is held
to a budget of its own as well: the largest error that any evaluation of the ensemble has in it.

Other magnitudes are not parted: where an element is small because a function of a large number vanishes there, such as
the logarithm of almost 1, its error is that of the large number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parity.core.arrays import Array
from parity.scoring.compare import CHUNK

UNEVEN = 16.0
"""How many times as large the budget of one part must be as that of another for parts to have their own, where they
have many elements; the square where one has a single element."""
MOST_COLUMNS = 4096
"""Columns of an array that are looked at, so that a vocabulary costs nothing: its columns are alike."""
BINS = 64
"""Into which an octave is parted to tell values of a mask: values in one are alike within 1.1 %."""
MOST_VALUES = 4
"""Bins that a mask has at most: -1e9 has one, or two where it lies between, and sums of two such have others."""
GAP = 10
"""Octaves that lie between a mask and the rest at least: the unit roundoff of 1,024 is 6e-5 of 1."""
SMALLEST = 2.0**-100
"""A part whose elements are all smaller has no budget of its own: float32 loses digits from 2**-126 on, or has zero."""
_LOWEST = -1100 * BINS


@dataclass(frozen=True)
class Partition:
    """A way to part an array: into `count` columns, or by magnitudes of the oracle between ascending `edges`."""

    count: int
    edges: tuple[float, ...] = ()

    def labels(self, oracle: Array, start: int = 0) -> Array:
        """Return the number of the part of each element: [n], of a piece [n] of the oracle that starts at `start`."""
        if not self.edges:
            return (np.arange(start, start + oracle.size) % self.count).astype(np.uint16)
        return np.searchsorted(self.edges, np.abs(oracle), side="right").astype(np.uint16)


@dataclass(frozen=True)
class Parts:
    """Uneven parts: how an array is parted, and the largest error of each at score 1; infinite where none is known."""

    partition: Partition
    largest: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """Of each part [count]: elements finite in both arrays, their largest distance, and the sum of its squares."""

    finite: Array
    largest: Array
    squares: Array


def partitions(oracle: Array) -> list[Partition]:
    """Return the ways in which the oracle's answer has more than one part."""
    columns = oracle.shape[-1] if oracle.ndim > 1 and oracle.size else 0
    found = [Partition(columns)] if 1 < columns <= MOST_COLUMNS else []
    edges = _below_masks(oracle)
    return [*found, Partition(len(edges) + 1, edges)] if edges else found


def _below_masks(oracle: Array) -> tuple[float, ...]:
    """Return the magnitudes between masks, which have few values, and what is smaller by orders of magnitude."""
    counts = np.zeros(-2 * _LOWEST, np.int64)
    for _, part in _chunks(oracle):
        sizes = np.abs(part)
        bins = np.rint(np.log2(sizes[np.isfinite(sizes) & (sizes > 0)]) * BINS).astype(int)
        counts += np.bincount(bins - _LOWEST, minlength=counts.size)
    used = np.flatnonzero(counts) + _LOWEST
    edges: list[float] = []
    last = used.size
    for below in reversed(np.flatnonzero(np.diff(used) >= GAP * BINS).tolist()):
        if last - below - 1 > MOST_VALUES:
            break
        edges.append(float(2.0 ** ((used[below] + used[below + 1]) / 2 / BINS)))
        last = below + 1
    return tuple(reversed(edges))


def measure(array: Array, other: Array, partition: Partition, oracle: Array) -> Measured:
    """Return the distances between two arrays by part of the oracle; where either is not finite, there is none."""
    finite, largest, squares = (np.zeros(partition.count) for _ in range(3))
    one, two = (np.asarray(found).reshape(-1) for found in (array, other))
    for start, exact in _chunks(oracle):
        apart = _apart(one[start : start + exact.size], two[start : start + exact.size])
        labels, there = partition.labels(exact, start), np.isfinite(apart)
        apart = np.where(there, apart, 0.0)
        finite += np.bincount(labels, there, partition.count)
        squares += np.bincount(labels, apart**2, partition.count)
        order = np.argsort(labels, kind="stable")
        firsts = np.flatnonzero(np.diff(labels[order].astype(int), prepend=-1))
        seen = labels[order][firsts]
        largest[seen] = np.maximum(largest[seen], np.maximum.reduceat(apart[order], firsts))
    return Measured(finite, largest, squares)


def _chunks(array: Array) -> Iterator[tuple[int, Array]]:
    flat = array.reshape(-1)
    return ((start, flat[start : start + CHUNK]) for start in range(0, flat.size, CHUNK))


def _apart(array: Array, other: Array) -> Array:
    """Return the distances of two arrays, float64."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(array - other).astype(np.float64)


class PartsOfEnsemble:
    """Collect the distances of evaluations by part, and make budgets of them; see `rules.Ensemble`."""

    def __init__(self, oracle: Array) -> None:
        self._oracle, self._first = oracle, oracle
        self._from_oracle: dict[Partition, list[Measured]] = {partition: [] for partition in partitions(oracle)}
        self._from_first: dict[Partition, Array] = {p: np.zeros(p.count) for p in self._from_oracle}

    def add(self, answer: Array) -> None:
        """Add one evaluation."""
        for partition, members in self._from_oracle.items():
            if members:
                moved = measure(answer, self._first, partition, self._oracle).largest
                self._from_first[partition] = np.maximum(self._from_first[partition], moved)
            members.append(measure(answer, self._oracle, partition, self._oracle))
        if self._first is self._oracle:
            self._first = answer

    def budgets(self, centre: Array, roundoff: float) -> tuple[tuple[Parts, ...], float]:
        """Return the budgets of uneven parts, and the largest bias of one; see `rules.Budget`.

        A part in which no evaluation differs from another, and all from the oracle, has none: it is what is left of a
        number that float32 lost, and says nothing about how far that may be off.

        Args:
            centre: the mean of the evaluations.
            roundoff: unit roundoff of their dtype: no part can be more accurate.
        """
        found, biases = [], [0.0]
        for partition, members in self._from_oracle.items():
            size = measure(np.zeros_like(self._oracle), self._oracle, partition, self._oracle)
            error = np.maximum.reduce([m.largest for m in members])
            lost = (self._from_first[partition] == 0) & (error > roundoff * size.largest) & (len(members) > 1)
            lost |= (size.largest > 0) & (size.largest < SMALLEST)
            largest = np.where(lost, math.inf, np.maximum(error, roundoff * size.largest))
            known = (size.finite > 0) & ~lost
            if not known.any():
                continue
            apart = UNEVEN ** (1 + 1 / size.finite[known].min())  # the largest of few errors is small by chance
            if not largest[known].max() > apart * largest[known].min():
                continue
            found.append(Parts(partition, tuple(_pooled(largest, known, apart).tolist())))
            off_centre = measure(centre, self._oracle, partition, self._oracle).squares
            spread = np.maximum(sum(m.squares for m in members) / len(members) - off_centre, 0.0)
            spread = np.maximum(spread, roundoff**2 * size.squares)
            pairs = zip(off_centre[known].tolist(), spread[known].tolist(), strict=True)
            biases += (math.sqrt(ratio(*pair)) for pair in pairs)
        return tuple(found), max(biases)


def _pooled(largest: Array, known: Array, apart: float) -> Array:
    """Return the errors [count] of parts, each raised to that of the largest part less than `apart` times as large.

    Of 1,000 columns of one number each, one has small errors in all evaluations.
    """
    found, left = largest.copy(), known.copy()
    while left.any():
        top = largest[left].max()
        pool = left & (largest >= top / apart)
        found[pool] = top
        left &= ~pool
    return found


def ratio(error: float, budget: float) -> float:
    """Return an error in units of a budget; infinite where nothing is allowed."""
    return error / budget if budget else (math.inf if error else 0.0)


def worst(array: Array, oracle: Array, parts: Parts) -> tuple[float, int]:
    """Return the largest error of a part over its budget, and the flat index of that element."""
    apart = measure(array, oracle, parts.partition, oracle).largest
    ratios = [ratio(a, b) for a, b in zip(apart.tolist(), parts.largest, strict=True)]
    part, found, index = int(np.argmax(ratios)), -1.0, 0
    flat = np.asarray(array).reshape(-1)
    for start, exact in _chunks(oracle):
        distances = _apart(flat[start : start + exact.size], exact)
        within = np.where(np.isfinite(distances) & (parts.partition.labels(exact, start) == part), distances, -1.0)
        if within.max() > found:
            found, index = float(within.max()), start + int(within.argmax())
    return ratios[part], index


def allowed(oracle: Array, largest: float, parts: tuple[Parts, ...]) -> Array:
    """Return the error at score 1 of each element of the oracle, float64: `largest`, or less in a smaller part."""
    found = np.full(oracle.size, largest)
    for own in parts:
        found = np.minimum(found, np.asarray(own.largest)[own.partition.labels(oracle.reshape(-1))])
    return found.reshape(oracle.shape)
