"""`parity matrix`: many cells, several at a time."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.core.errors import UsageError


def add(commands: Any) -> None:
    """Add the command's options."""
    matrix = commands.add_parser(
        "matrix",
        help="run many cells, several at a time; those that are up to date are left as they are",
        description="Run cells, each as the tox environment of that name, in the project's folder; write the atlas, "
        "unless CELLs are named. Any further argument, written as --name=value, goes to parity cell.",
    )
    matrix.add_argument(
        "cells", metavar="CELL", nargs="*", help="such as py311-jax0.8.0-tf2.21.0 (default: the label's)"
    )
    matrix.add_argument("--label", default="atlas", help="the label of tox.ini whose cells to run (default: atlas)")
    where = matrix.add_mutually_exclusive_group()
    where.add_argument("--jobs", metavar="N", type=int, default=1, help="so many at a time, here (default: 1)")
    there = "run them on the workers of this dask.distributed scheduler, such as tcp://10.0.0.1:8786"
    where.add_argument("--scheduler", metavar="ADDRESS", help=there)
    where.add_argument("--list", action="store_true", help="run nothing; print the cells by role as one line of JSON")


def main(arguments: Namespace, further: list[str]) -> int:
    """Run many cells, and write the atlas."""
    from parity.cli.atlas import join
    from parity.matrix import plan, scheduling

    here = Path.cwd()
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: expected 1 or more.")
    names = list(dict.fromkeys(arguments.cells)) or plan.declared(here, arguments.label)
    if arguments.list:
        print(json.dumps(scheduling.by_role(names)))
        return 0
    if arguments.scheduler:
        from parity.matrix import cluster

        cluster.run_there(arguments.scheduler, here, names, further, print)
    else:
        scheduling.run_here(here, names, further, arguments.jobs, print)
    arguments.show_only = bool(arguments.cells)  # a few cells are no atlas
    return join(here / "reports", {name: plan.why_absent(name) for name in names}, arguments)
