"""`parity cell`: one cell of the matrix, from nothing to a record."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    cell = commands.add_parser(
        "cell",
        help="install the releases that a cell names into this environment, and check them",
        description="What a tox environment of the matrix runs. Whatever happens, a sealed record is left. Any further "
        "argument goes to parity run.",
    )
    cell.add_argument("name", metavar="CELL", help="such as py312-jax0.9.2-tf2.21.0, or latest")
    cell.add_argument("--reports", metavar="DIR", type=Path, default=Path("reports"), help="folder of all records")
    archive = "folder of archived bundles: a cell that verifies replays them too, one that archives adds to them"
    cell.add_argument("--archive", metavar="DIR", type=Path, help=archive)
    cell.add_argument("--time-limit", metavar="S", type=float, default=1200.0, help="end a run after so many seconds")
    cell.add_argument("--fresh", action="store_true", help="run again what is up to date")


def main(arguments: Namespace, further: list[str]) -> int:
    """Make the records of one cell."""
    from parity import records
    from parity.matrix.running import run_cell
    from parity.records import cells

    asked, limit = cells.Cell.parse(arguments.name), arguments.time_limit
    show = partial(print, end="", flush=True)
    runs = run_cell(asked, arguments.reports, further, limit, arguments.fresh, show, arguments.archive)
    for run in runs:
        became = cells.outcome(run)
        why = ": ".join(filter(None, (became.failure, became.evidence)))
        print(f"{run.cell}: {became.status}" + (f", {why}" if why else ""))
        print("  " + ", ".join(f"{purpose} {seconds:.0f} s" for purpose, seconds in run.spent_s.items()))
    return 0 if runs and all(cells.outcome(run).status in records.IN_ORDER for run in runs) else 1
