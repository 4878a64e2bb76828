"""Bisection over releases, some of which give no answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GOOD, BAD, SKIP = "good", "bad", "skip"


@dataclass(frozen=True)
class Boundary:
    """Where good turns into bad: between `last_good` and `first_bad` there are only `unknown` releases, skipped.

    The first bad one is therefore one of `unknown` or `first_bad`. `asked` are all that were asked, in order.
    """

    last_good: str
    first_bad: str
    unknown: tuple[str, ...]
    asked: tuple[str, ...]


def bisect(
    releases: Sequence[str], ask: Callable[[str], str], tell: Callable[[str, int], object] = lambda release, left: None
) -> Boundary:
    """The boundary in `releases`, oldest first, of which the first is known to be good and the last to be bad.

    It asks nothing twice, and at most `questions(releases)` releases beside those that are skipped. Where good and bad
    alternate, it finds one of the places where good turns into bad.

    Args:
        releases: at least two.
        ask: takes a release; GOOD, BAD or SKIP.
        tell: takes a release that was asked, and how many remain to be asked.
    """
    good, bad = 0, len(releases) - 1
    asked: dict[int, str] = {}
    while left := [i for i in range(good + 1, bad) if i not in asked]:
        middle = left[len(left) // 2]
        asked[middle] = ask(releases[middle])
        if asked[middle] == GOOD:
            good = middle
        elif asked[middle] == BAD:
            bad = middle
        tell(releases[middle], sum(i not in asked for i in range(good + 1, bad)))
    between = tuple(releases[good + 1 : bad])
    return Boundary(releases[good], releases[bad], between, tuple(releases[i] for i in asked))


def questions(releases: Sequence[str]) -> int:
    """How many questions bisection takes at most where none is skipped: log2 of the places the boundary can be at."""
    return math.ceil(math.log2(len(releases) - 1))
