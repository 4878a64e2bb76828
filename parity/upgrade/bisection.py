"""Bisection over releases, some of which give no answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GOOD, BAD, SKIP = "good", "bad", "skip"


@dataclass(frozen=True)
class Boundary:
    """Where good turns into bad: only skipped releases, `unknown`, lie between `last_good` and `first_bad`.

    The first bad release is one of `unknown` or `first_bad`.
    """

    last_good: str
    first_bad: str
    unknown: tuple[str, ...]


def bisect(
    releases: Sequence[str],
    test: Callable[[str], str],
    progress: Callable[[str, int], object] = lambda release, left: None,
) -> Boundary:
    """Return the boundary in `releases`, of which the first is known to be good and the last to be bad.

    No release is tested twice, and at most `most_tests(releases)` beside the skipped ones. Where good and bad
    alternate, the boundary is one of the places where good turns into bad.

    Args:
        releases: at least two, oldest first.
        test: takes a release; returns GOOD, BAD or SKIP.
        progress: takes a tested release, and the number of releases left between good and bad.
    """
    good, bad = 0, len(releases) - 1
    tested: set[int] = set()
    while left := [i for i in range(good + 1, bad) if i not in tested]:
        middle = left[len(left) // 2]
        tested.add(middle)
        answer = test(releases[middle])
        if answer == GOOD:
            good = middle
        elif answer == BAD:
            bad = middle
        progress(releases[middle], sum(i not in tested for i in range(good + 1, bad)))
    return Boundary(releases[good], releases[bad], tuple(releases[good + 1 : bad]))


def most_tests(releases: Sequence[str]) -> int:
    """Return the most tests that bisection needs if none is skipped: log2 of the possible places of the boundary."""
    return math.ceil(math.log2(len(releases) - 1))
