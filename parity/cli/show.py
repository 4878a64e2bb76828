"""`parity show`: a run in the terminal."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    show = commands.add_parser(
        "show",
        help="show a run in the terminal: verdict, matrix, worst leaves",
        description="Show the verdict on a run, what unblocks it, a line for each test, and its worst leaves.",
    )
    show.add_argument("run", metavar="RUN", type=Path, help="a run.json, or the folder that has it")


def main(arguments: Namespace, further: list[str]) -> int:
    """Show a run; the exit code is 0 where it is in order, 1 otherwise."""
    from parity import records
    from parity.report import terminal

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that cannot show a name
    run = records.read(arguments.run)
    print(terminal.show(run, min(shutil.get_terminal_size().columns, 120)))
    return 0 if run.in_order() else 1
