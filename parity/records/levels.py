"""Levels: how much of the suite a run has. Each has everything of the level before it."""

from typing import TYPE_CHECKING, Literal

QUICK = "quick"
STANDARD = "standard"
FULL = "full"
LEVELS = (QUICK, STANDARD, FULL)
"""While a case is written; what an upgrade is gated on; everything."""

if TYPE_CHECKING:  # a type checker cannot make a Literal of a tuple
    Level = str
else:
    Level = Literal[LEVELS]


def includes(level: str, other: str) -> bool:
    """Return whether a run of `level` has what belongs to the level `other`."""
    return LEVELS.index(other) <= LEVELS.index(level)


def highest(*levels: str) -> str:
    """Return the highest of `levels`; the lowest of all where there is none."""
    return max(levels, key=LEVELS.index, default=QUICK)
