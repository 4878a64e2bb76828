"""`parity cell`: one cell of the matrix, from nothing to a record."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.core.native_log import LAST, LOG

if TYPE_CHECKING:
    from parity.records import Run


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
    project = "also install what the project in this folder requires (pyproject.toml, requirements.txt, locks, …)"
    cell.add_argument("--project", metavar="DIR", type=Path, help=project)
    limit = "end a run after so many seconds (default: no limit; a busy machine is slow, not broken)"
    cell.add_argument("--time-limit", metavar="S", type=float, help=limit)
    cell.add_argument("--fresh", action="store_true", help="run again what is up to date")
    cell.add_argument("--quiet", action="store_true", help="show only the outcome; log.txt beside the record has all")
    cell.add_argument("-v", "--verbose", action="store_true", help="show the output of the install and of every run")
    anywhere = "install into this environment, although tox did not make it for CELL; its jax and tensorflow change"
    cell.add_argument("--into-this-environment", action="store_true", help=anywhere)


def main(arguments: Namespace, further: list[str]) -> int:
    """Make the records of one cell."""
    from parity import records
    from parity.matrix import project
    from parity.matrix.cell_run import run_cell
    from parity.matrix.installation import require_environment_of
    from parity.matrix.screen import Everything, OneLine, Screen
    from parity.records.cells import Cell, outcome

    cell, limit = Cell.parse(arguments.name), arguments.time_limit
    if not arguments.into_this_environment:
        require_environment_of(cell.name)
    required = project.read(arguments.project) if arguments.project else project.Project()
    screen = Screen() if arguments.quiet else Everything() if arguments.verbose else OneLine(sys.stdout)
    try:
        runs = run_cell(cell, arguments.reports, further, limit, arguments.fresh, screen, arguments.archive, required)
    finally:
        screen.close()
    for run in runs:
        for line in _shown(run, arguments.reports / run.cell, arguments.quiet or arguments.verbose, len(runs) > 1):
            print(line)
    return 0 if runs and all(outcome(run).status in records.IN_ORDER for run in runs) else 1


def _shown(run: Run, folder: Path, was_shown: bool, one_of_many: bool) -> Iterator[str]:
    """Yield what became of a run: one line and its seconds where more was shown already, or nobody wants more."""
    from parity import records
    from parity.matrix.cell_run import summary
    from parity.report import terminal

    spent = "  " + ", ".join(f"{purpose} {seconds:.0f} s" for purpose, seconds in run.spent_s.items())
    if was_shown or one_of_many or run.mode != records.JOINT:
        yield from (summary(run), spent)
        return
    report = f"Report: {folder / 'index.html'}"
    width = shutil.get_terminal_size().columns
    if run.in_order():
        yield from terminal.brief(run, width, report)
        return
    yield from terminal.failures(run)
    if run.stopped is not None:
        yield from (*_last_lines(folder / LOG), "")
    if run.checks:
        yield from terminal.summary(run, width)
    yield from (summary(run), f"Log: {folder / LOG}", report)


def _last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, made safe to show; of a crash those around the message of Python's faulthandler.

    Native code says why before that message, and the stack that follows may be long.
    """
    from parity.report import facts

    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    crashed = [nth for nth, line in enumerate(lines) if line.startswith("Fatal Python error: ")]
    end = min(crashed[-1] + LAST // 2, len(lines)) if crashed else len(lines)
    return [facts.plain(line) for line in lines[max(0, end - LAST) : end]]
