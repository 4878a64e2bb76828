"""The records of four corners, and what is said of one side of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from parity.core.failures import RESOLVER
from parity.records import Run, cells
from parity.upgrade.pins import JAX, TENSORFLOW, Pair

UPGRADE, CONVERTED, PROGRAM, READER, OTHERS = "upgrade", "converted", "program", "reader", "others"
SIDES = (UPGRADE, JAX, TENSORFLOW, CONVERTED, PROGRAM, READER, OTHERS)


@dataclass(frozen=True)
class Moved:
    """Whether one side moved, and its numbers in a sentence; `moved` is None where the records do not tell."""

    side: str
    moved: bool | None
    sentence: str


class Growth(Protocol):
    """By which factor a score may grow; scores up to `floor` count as `floor`."""

    @property
    def score(self) -> float:
        """The factor."""

    @property
    def floor(self) -> float:
        """A score that is as good as JAX itself."""


@dataclass(frozen=True)
class Corners:
    """The runs of the four corners that are recorded, and how much a score may move."""

    old: Pair
    new: Pair
    runs: Mapping[Pair, Run]
    growth: Growth

    def run(self, jax: str, tensorflow: str) -> Run | None:
        """The record of that corner, if its releases could be installed."""
        run = self.runs.get(Pair(jax, tensorflow))
        return None if run is None or cells.outcome(run).failure == RESOLVER else run

    def with_jax(self, jax: str) -> list[Run]:
        """The records with that jax, the one beside the tensorflow of its own pair first."""
        order = (self.old.tensorflow, self.new.tensorflow)
        found = (self.run(jax, tensorflow) for tensorflow in (order if jax == self.old.jax else order[::-1]))
        return [run for run in found if run is not None]

    def with_tensorflow(self, tensorflow: str) -> list[Run]:
        """The records with that tensorflow, likewise."""
        order = (self.old.jax, self.new.jax)
        found = (self.run(jax, tensorflow) for jax in (order if tensorflow == self.old.tensorflow else order[::-1]))
        return [run for run in found if run is not None]
