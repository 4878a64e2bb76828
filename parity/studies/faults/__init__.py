"""The catalogue of planted faults: what the checks are proven against.

A fault is one small patch at the place where a real one would sit, described in words that a user knows. It is planted
beside an honest state, the questions of the suite are asked, and it is undone: see `bench`. One file per
group; `catalogue()` is all of them, in order.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parity.cases.case import PROBES
from parity.core.errors import UsageError

if TYPE_CHECKING:
    from parity.studies.faults.bench import Bench

GROUPS = (
    "weights", "statistics", "dropout", "loss", "gradients", "batch_size", "dtypes", "values", "precision", "training",
    "artifact", "harness",
)  # fmt: skip
"""Each is a module of this package with its `FAULTS`."""

HARNESS = "harness"
"""The group of faults in parity itself: they are asked about an honest artifact, and every one must be caught."""

Plant = Callable[["Bench"], AbstractContextManager[None]]
"""Plants a fault at a bench, and undoes it."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what is wrong, in words that a user knows.
        where: the module, function, variable or file that is wrong.
        plant: plants it.
        asks: the test functions of the suite that are asked, without their `test_`.
        sizes: the batch sizes they are asked at; None for all of the bench.
        quick: whether it is part of the quick form.
        equals: for a fault that is no weight's, the relative error in a weight tensor that has the same effect, from
            the trained state's leaves; it is what the published power is compared with.
        group: of `GROUPS`.
    """

    name: str
    where: str
    plant: Plant
    asks: tuple[str, ...] = PROBES
    sizes: tuple[int, ...] | None = None
    quick: bool = False
    equals: Callable[[dict[str, Any]], dict[str, float]] | None = None
    group: str = ""


def catalogue() -> tuple[Fault, ...]:
    """Every fault, in the order of `GROUPS`."""
    return tuple(
        fault for group in GROUPS for fault in importlib.import_module(f"parity.studies.faults.{group}").FAULTS
    )


def chosen(groups: list[str], words: list[str], quick: bool) -> tuple[Fault, ...]:
    """The faults that options select; what is not given is everything.

    Raises:
        UsageError: there is no such group, or no fault with these words.
    """
    for group in groups:
        if group not in GROUPS:
            raise UsageError(f"no group {group!r}. Expected one of {', '.join(GROUPS)}.")
    faults = [f for f in catalogue() if not groups or f.group in groups]
    for word in words:
        if not any(word.lower() in fault.name.lower() for fault in faults):
            raise UsageError(f"no fault has {word!r} in its name. Expected words of one; parity faults lists them.")
    if words:
        faults = [fault for fault in faults if any(word.lower() in fault.name.lower() for word in words)]
    return tuple(fault for fault in faults if not quick or fault.quick or fault.group == HARNESS)
