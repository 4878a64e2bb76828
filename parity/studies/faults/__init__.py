"""The catalogue of planted faults, which shows what the checks catch.

A fault is one small patch at the place where a real fault would be, described in words that a user knows. It is
planted in a sound state, the checks of the suite run, and it is undone: see `bench`. There is one file for each group;
`catalogue()` returns all faults, in order.
"""

from __future__ import annotations

import importlib
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.cases.case import PROBES
from parity.core.errors import UsageError
from parity.core.storage import output_folder

if TYPE_CHECKING:
    from parity.studies.faults.bench import Bench

DESCRIPTION = (
    "Plant every fault of the catalogue in a trained and exported model, or in parity itself, run the checks of the "
    "suite, and report what catches it. The exit code is 0 if each is caught or lies below the published power."
)
ACCEPTS_FURTHER = False
GROUPS = (
    "weights", "statistics", "dropout", "loss", "gradients", "batch_size", "dtypes", "values", "precision", "training",
    "artifact", "harness",
)  # fmt: skip
"""The groups, each a module of this package with its `FAULTS`."""

HARNESS = "harness"
"""The group of faults in parity itself; the artifact is sound, and every one of them must be caught."""

Plant = Callable[["Bench"], AbstractContextManager[None]]
"""A context in which a fault is planted at a bench."""


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
    """Return every fault, in the order of `GROUPS`."""
    return tuple(
        fault for group in GROUPS for fault in importlib.import_module(f"parity.studies.faults.{group}").FAULTS
    )


def chosen(groups: list[str], words: list[str], quick: bool) -> tuple[Fault, ...]:
    """Return the faults that the options select; an option that is not given selects all.

    Raises:
        UsageError: there is no such group, or no fault with these words.
    """
    for group in groups:
        if group not in GROUPS:
            raise UsageError(f"no group {group!r}. Expected one of {', '.join(GROUPS)}.")
    faults = [f for f in catalogue() if not groups or f.group in groups]
    for word in words:
        if not any(word.lower() in fault.name.lower() for fault in faults):
            raise UsageError(f"no fault has {word!r} in its name. Expected a part of a name in `parity study faults`.")
    if words:
        faults = [fault for fault in faults if any(word.lower() in fault.name.lower() for word in words)]
    return tuple(fault for fault in faults if not quick or fault.quick or fault.group == HARNESS)


def add(parser: ArgumentParser) -> None:
    """Add the options of the study."""
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for faults.json (the whole catalogue only)")
    parser.add_argument(
        "--group", metavar="NAME", action="append", default=[], help="only this group; may be given several times"
    )
    parser.add_argument(
        "--only", metavar="TEXT", action="append", default=[], help="only faults with this text in their name"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one or two faults of each group, and all in parity itself"
    )


def main(arguments: Namespace, further: list[str]) -> int:
    """Plant the chosen faults, print what catches them, and return the exit code."""
    from parity.studies.faults import outcomes, running, table

    selected = chosen(arguments.group, arguments.only, arguments.quick)
    if arguments.out:
        output_folder(arguments.out)  # a wrong folder is refused before the work, not after
    found, facts = running.run(selected, arguments.quick)
    table.show(found)
    print(textwrap.fill(outcomes.sentence(found), 80))
    if arguments.out and len(selected) == len(catalogue()) and not arguments.quick:
        print(f"Faults: {outcomes.write(arguments.out, found, facts)}")
    elif arguments.out:
        print("Nothing written: faults.json holds the whole catalogue, and this was a part of it.")
    return 0 if all(outcome.in_order for outcome in found) else 1
