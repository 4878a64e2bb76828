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
        description="Run one cell of the matrix, in the tox environment that was made for it: tox run -e CELL does. "
        "Whatever happens, a sealed record is left. Any further argument goes to parity run.",
    )
    cell.add_argument("name", metavar="CELL", help="such as py312-jax0.9.2-tf2.21.0, or latest")
    cell.add_argument("--reports", metavar="DIR", type=Path, default=Path("reports"), help="folder of all records")
    archive = "folder of archived bundles: a cell that verifies reads them too, one that archives adds to them"
    cell.add_argument("--archive", metavar="DIR", type=Path, help=archive)
    limit = "end a run after so many seconds (default: no limit; a busy machine is slow, not broken)"
    cell.add_argument("--time-limit", metavar="S", type=float, help=limit)
    cell.add_argument("--fresh", action="store_true", help="run again what is up to date")
    cell.add_argument("--quiet", action="store_true", help="show only the outcome; log.txt beside the record has all")
    anywhere = "install into this environment, although tox did not make it for CELL; its jax and tensorflow change"
    cell.add_argument("--into-this-environment", action="store_true", help=anywhere)


def main(arguments: Namespace, further: list[str]) -> int:
    """Make the records of one cell."""
    from parity import records
    from parity.matrix.cell_run import run_cell, summary
    from parity.matrix.installation import require_environment_of
    from parity.records.cells import Cell, outcome

    cell, limit = Cell.parse(arguments.name), arguments.time_limit
    if not arguments.into_this_environment:
        require_environment_of(cell.name)
    show = (lambda text: None) if arguments.quiet else partial(print, end="", flush=True)
    runs = run_cell(cell, arguments.reports, further, limit, arguments.fresh, show, arguments.archive)
    for run in runs:
        print(summary(run))
        print("  " + ", ".join(f"{purpose} {seconds:.0f} s" for purpose, seconds in run.spent_s.items()))
    return 0 if runs and all(outcome(run).status in records.IN_ORDER for run in runs) else 1
