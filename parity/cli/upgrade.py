"""`parity upgrade`: from one pair of releases to another, and who moved."""

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
        help="say whether to go from one pair of releases to another, who moved, and what unblocks it",
        description="Run the pairs old/old, new/old, old/new and new/new, as far as they are not recorded, and judge. "
        "Further arguments, written as --name=value, go to parity run. Exit codes are those of parity gate.",
    )
    pins = "'jax==0.9.2 tensorflow==2.20.0'"
    upgrade.add_argument("--from", metavar="PINS", dest="old", required=True, help=f"the pair there is, such as {pins}")
    upgrade.add_argument("--to", metavar="PINS", dest="new", required=True, help="the pair to go to")
    upgrade.add_argument("--policy", metavar="FILE", type=Path, help="the gate's (default: the package's)")
    upgrade.add_argument("--jobs", metavar="N", type=int, default=1, help="so many cells at a time (default: 1)")
    upgrade.add_argument("--recorded", action="store_true", help="run nothing; take older records too, and say so")
    upgrade.add_argument("--markdown", metavar="FILE", type=Path, help="also write it as Markdown, for a CI summary")
    upgrade.add_argument("--json", metavar="FILE", type=Path, help="also write it as JSON")
    on_bench(upgrade)


def on_bench(command: Any) -> None:
    """Add the options that say what is run, and where its records are."""
    command.add_argument("--case", metavar="CASE", default="reference", help=CASE)
    where = "folder of the records (default: reports); those of a user's case are in DIR/cases"
    command.add_argument("--reports", metavar="DIR", type=Path, default=Path("reports"), help=where)
    command.add_argument("--python", metavar="VERSION", help="such as 3.12 (default: one that can install the pairs)")


def bench(arguments: Namespace, further: list[str]) -> Any:
    """The bench that the options ask for; its progress goes to standard error."""
    from parity.upgrade.making import Bench

    show = partial(print, file=sys.stderr, flush=True)
    jobs = getattr(arguments, "jobs", 1)  # a bisection runs one at a time
    return Bench.of(arguments.reports.resolve(), arguments.case, further, jobs, show)


def main(arguments: Namespace, further: list[str]) -> int:
    """Judge an upgrade, and say it in the ways that are asked for."""
    from parity.core import storage
    from parity.upgrade import telling
    from parity.upgrade.pins import Pair
    from parity.upgrade.upgrading import upgrade

    old, new = Pair.parse(arguments.old), Pair.parse(arguments.new)
    found = upgrade(
        old, new, bench(arguments, further), arguments.policy, arguments.python, arguments.recorded
    )  # fmt: skip
    print(telling.terminal(found))
    for path, told in ((arguments.markdown, telling.markdown), (arguments.json, telling.as_json)):
        if path is not None:
            storage.output_folder(path.parent)
            storage.write_atomically(path, told(found))
    return found.exit_code
