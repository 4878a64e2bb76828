"""`parity upgrade`: decide whether one pair of releases may replace another, and say who moved."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from parity.cli.options import CASE


def add(commands: Any) -> None:
    """Add the command's options."""
    upgrade = commands.add_parser(
        "upgrade",
        help="decide whether one pair of releases may replace another, who moved, and what unblocks it",
        description="Run the pairs old/old, new/old, old/new and new/new, as far as they are not recorded, and judge. "
        "Further arguments, written as --name=value, go to parity run. Exit codes are those of parity gate.",
    )
    pins = "'jax==0.9.2 tensorflow==2.20.0'"
    upgrade.add_argument("--from", metavar="PINS", dest="old", required=True, help=f"the pair in use, such as {pins}")
    upgrade.add_argument("--to", metavar="PINS", dest="new", required=True, help="the pair to upgrade to")
    upgrade.add_argument("--policy", metavar="FILE", type=Path, help="the gate's (default: the package's)")
    upgrade.add_argument("--jobs", metavar="N", type=int, default=1, help="number of cells at a time (default: 1)")
    upgrade.add_argument("--recorded", action="store_true", help="run nothing, and accept records that are out of date")
    upgrade.add_argument("--markdown", metavar="FILE", type=Path, help="also write Markdown, for a CI summary")
    upgrade.add_argument("--json", metavar="FILE", type=Path, help="also write JSON")
    add_records(upgrade)


def add_records(command: Any) -> None:
    """Add the options that name the case, its records and the Python."""
    command.add_argument("--case", metavar="CASE", default="reference", help=CASE)
    where = "folder of the records (default: reports); those of a user's case are in DIR/cases"
    command.add_argument("--reports", metavar="DIR", type=Path, default=Path("reports"), help=where)
    command.add_argument("--python", metavar="VERSION", help="such as 3.12 (default: one that can install the pairs)")


def runner_of(arguments: Namespace, further: list[str]) -> Any:
    """Return the cell runner for the options; its progress goes to standard error."""
    from parity.upgrade.runner import CellRunner

    show = partial(print, file=sys.stderr, flush=True)
    jobs = getattr(arguments, "jobs", 1)  # a bisection runs one cell at a time
    return CellRunner.for_case(arguments.reports.resolve(), arguments.case, further, jobs, show)


def main(arguments: Namespace, further: list[str]) -> int:
    """Decide an upgrade; print it, and write the files that are requested."""
    from parity.core import storage
    from parity.upgrade import rendering
    from parity.upgrade.decision import decide
    from parity.upgrade.pairs import Pair

    old, new = Pair.parse(arguments.old), Pair.parse(arguments.new)
    runner = runner_of(arguments, further)
    found = decide(old, new, runner, arguments.policy, arguments.python, arguments.recorded)
    print(rendering.terminal(found))
    for path, render in ((arguments.markdown, rendering.markdown), (arguments.json, rendering.as_json)):
        if path is not None:
            storage.output_folder(path.parent)
            storage.write_atomically(path, render(found))
    return found.exit_code
