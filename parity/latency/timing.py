"""Statistics of timing: interleaved rounds, medians, and ratios with their intervals."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.special import ndtr, stdtrit

from parity.latency import MIN_ROUNDS, PRECISION
from parity.records.measures import BETWEEN_PROCESSES

Timer = Callable[[], int]
"""Runs one step, waits for it, and returns its duration in ns, by its own clock."""

LEVEL = 0.99
"""Confidence of every interval. At 0.95, more than 5 of 100 trials miss in every third study; at 0.99, in one study of
2,000."""
FIRST_LOOK = 16
"""Rounds before the first interval is computed. In a simulation with an autocorrelation of 0.4, intervals accepted from
10 rounds on miss in 3 of 100 cases, from 16 on in 2; without autocorrelation in 1."""
MAX_ROUNDS = 500
"""More would make the record large, and resolve differences that two processes of one program have anyway."""
WARM_UP = 2
"""Rounds before the first, which are not kept."""
GROWTH = 1.5
"""Factor of rounds from one computation of the intervals to the next: after every round, measuring would stop at the
first interval that is narrow by chance."""
RESAMPLES = 2000
FENCE = 1.5
"""Interquartile ranges above the third quartile from which on a time is an outlier (Tukey, 1977)."""


@dataclass(frozen=True)
class Interval:
    """A value and its bootstrap interval, `low` to `high`, at `LEVEL`."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval, relative to the value."""
        return (self.high - self.low) / 2 / self.value

    def widened(self, by: float) -> Interval:
        """Return an interval whose ends are further away by this relative amount."""
        return Interval(self.value, self.low * (1 - by), self.high * (1 + by))


@dataclass(frozen=True)
class Measured:
    """What was measured, by name of a timer.

    Attributes:
        times_ns: every round in the order measured, outliers included; rounds i of all timers ran one after the other.
        medians: of `times_ns`, in ns.
        ratios: the median over rounds of the time over the reference's in the same round, its interval widened by
            `BETWEEN_PROCESSES`; none for the reference.
        precision: the half-width to reach.
        spent_s: wall time, without warm-up.
    """

    times_ns: dict[str, list[int]]
    medians: dict[str, Interval]
    ratios: dict[str, Interval]
    precision: float
    spent_s: float

    @property
    def rounds(self) -> int:
        """How many rounds were kept."""
        return len(next(iter(self.times_ns.values())))

    def narrow(self, name: str) -> bool:
        """Return whether the intervals of a timer are narrow enough; if not, the time or the rounds had ended."""
        found = [found[name] for found in (self.medians, self.ratios) if name in found]
        return all(interval.half_width <= self.precision for interval in found)


def interleaved(
    timers: Mapping[str, Timer],
    *,
    reference: str | None = None,
    budget_s: float,
    min_rounds: int = MIN_ROUNDS,
    max_rounds: int = MAX_ROUNDS,
    precision: float = PRECISION,
    seed: int = 0,
    enough: Callable[[Measured], bool] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Run timers round by round until every interval is narrow enough, or the time or the rounds have ended.

    A round runs every timer once, in random order, so that drift of the machine affects all alike.

    Args:
        timers: by name; at least one.
        reference: the timer that ratios are relative to; if None, none are computed.
        budget_s: the time to spend, in seconds; the round in which it ends is finished.
        min_rounds: measured in any case, however long they take.
        max_rounds: more are not measured; at least `min_rounds`.
        precision: the relative half-width at which an interval is narrow enough.
        seed: of the order within rounds.
        enough: decides whether the intervals are narrow enough; if None, all of them must be.
        clock: seconds, for the budget.

    Raises:
        ValueError: a timer returned 0 or less.
    """
    order, names, max_rounds = random.Random(seed), list(timers), max(min_rounds, max_rounds)
    times_ns: dict[str, list[int]] = {name: [] for name in names}

    def one_round() -> dict[str, int]:
        order.shuffle(names)
        return {name: timers[name]() for name in names}

    for _ in range(WARM_UP):
        one_round()
    began, look = clock(), max(min_rounds, FIRST_LOOK)
    for done in range(1, max_rounds + 1):
        for name, ns in one_round().items():
            times_ns[name].append(ns)
        spent_s = clock() - began
        if done < look and done < max_rounds and (done < min_rounds or spent_s < budget_s):
            continue
        measured = summarise(times_ns, reference, precision, spent_s)
        narrow = enough(measured) if enough else all(measured.narrow(name) for name in timers)
        if spent_s >= budget_s or narrow:
            break
        look = ceil(look * GROWTH)
    return measured


def summarise(
    times_ns: Mapping[str, list[int]],
    reference: str | None = None,
    precision: float = PRECISION,
    spent_s: float = 0.0,
) -> Measured:
    """Compute medians and ratios of rounds, in ns by name.

    Raises:
        ValueError: a time is 0 or less.
    """
    idle = [name for name, times in times_ns.items() if min(times) <= 0]
    if idle:
        raise ValueError(
            f"{idle[0]} took {min(times_ns[idle[0]])} ns, expected more than 0: its clock does not see it."
        )
    ratios = {
        name: median_interval(np.divide(times, times_ns[reference])).widened(BETWEEN_PROCESSES)
        for name, times in times_ns.items()
        if reference not in (None, name)
    }
    medians = {name: median_interval(times) for name, times in times_ns.items()}
    return Measured(dict(times_ns), medians, ratios, precision, spent_s)


def median_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Return the median of a series, positive numbers in the order measured, with its interval.

    By the circular block bootstrap (Politis and Romano, 1992), since neighbours in a series of times resemble each
    other; where they do not, a block is one value, and this is Efron's bootstrap. The percentiles are expanded as
    Student's t is wider than a normal distribution (Hesterberg, 2015, What teachers should know about the bootstrap,
    section 5.3): those of a few blocks would be too narrow.
    """
    series = np.asarray(values, dtype=float)
    n, block = len(series), block_length(series)
    starts = np.random.default_rng(0).integers(0, n, (RESAMPLES, ceil(n / block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :n] % n
    blocks = max(n / block, 2)
    tail = ndtr(stdtrit(blocks - 1, (1 - LEVEL) / 2) * sqrt(blocks / (blocks - 1)))
    low, high = np.quantile(np.median(series[drawn], axis=1), (tail, 1 - tail))
    return Interval(float(np.median(series)), float(low), float(high))


def block_length(series: np.ndarray) -> int:
    """Return the best length of blocks for an autoregressive series of order 1 (Carlstein, 1986).

    The autocorrelation of a short series is biased towards 0; the bias is corrected (Marriott and Pope, 1954).
    """
    n, seen = len(series), autocorrelation(series)
    r = min(max(seen + (1 + 4 * seen) / n, 0.0), 0.9)
    return max(1, min(round((2 * r / (1 - r**2)) ** (2 / 3) * n ** (1 / 3)), n // 4))


def autocorrelation(series: np.ndarray) -> float:
    """Return the rank correlation of neighbours, which one outlier cannot dominate; 0 for a constant series."""
    ranks = np.argsort(np.argsort(series, kind="stable"), kind="stable").astype(float)
    ranks -= ranks.mean()
    return float(ranks[1:] @ ranks[:-1] / (ranks @ ranks)) if np.ptp(series) else 0.0


def outliers(times_ns: Sequence[int]) -> int:
    """Count the times beyond `FENCE`. They stay in the series: the median is robust, and a step that stalls does so."""
    first, third = np.quantile(times_ns, (0.25, 0.75))
    return int(np.sum(np.asarray(times_ns) > third + FENCE * (third - first)))
