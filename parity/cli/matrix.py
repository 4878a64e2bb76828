"""`parity matrix`: the cells of tox.ini, listed or run on a Dask cluster."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    matrix = commands.add_parser(
        "matrix",
        help="run cells here or on a Dask cluster, or list them",
        description="Run cells on the workers of a Dask cluster, each as the tox environment of that name; leave those "
        "that are up to date, and write the atlas, unless CELLs are named. With --here run CELLs on this machine; it "
        "needs no tox.ini, whose cells tox run-parallel -m LABEL and parity atlas run. Any further argument, as "
        "--name=value, goes to parity cell.",
    )
    matrix.add_argument(
        "cells", metavar="CELL", nargs="*", help="such as py311-jax0.8.0-tf2.21.0 (default: the label's)"
    )
    matrix.add_argument("--label", default="atlas", help="the label of tox.ini whose cells to run (default: atlas)")
    what = matrix.add_mutually_exclusive_group(required=True)
    what.add_argument("--cluster", metavar="ADDRESS", help="of a dask.distributed scheduler, as tcp://10.0.0.1:8786")
    here = "run CELLs one after the other in environments of this parity and what this folder's project requires"
    what.add_argument("--here", action="store_true", help=here)
    what.add_argument("--list", action="store_true", help="run nothing; print the cells by role as one line of JSON")


def main(arguments: Namespace, further: list[str]) -> int:
    """List cells, or run them and write the atlas."""
    from parity.cli.atlas import join
    from parity.matrix import tox

    project = Path.cwd()
    if arguments.here:
        return _run_here(project, list(dict.fromkeys(arguments.cells)), further)
    names = list(dict.fromkeys(arguments.cells)) or tox.declared(project, arguments.label)
    if arguments.list:
        print(json.dumps(tox.by_role(names)))
        return 0
    from parity.matrix import cluster

    cluster.run_on_cluster(arguments.cluster, project, names, further, print)
    arguments.show_only = bool(arguments.cells)  # a few cells are no atlas
    return join(project / "reports", {name: tox.why_absent(name) for name in names}, arguments)


def _run_here(project: Path, names: list[str], options: list[str]) -> int:
    """Run cells on this machine, and return the exit code."""
    from parity import records
    from parity.core.errors import RecordError, UsageError
    from parity.matrix import settings, tox
    from parity.records.cells import Cell, outcome

    if not names:
        raise UsageError(
            "--here runs the cells that are named. Expected one such as py312-jax0.9.2-tf2.21.0, or latest."
        )
    for name in names:
        Cell.parse(name)
    reports = project / "reports"
    tox.run_cells(project, names, options, 1, print, reports, settings=settings.write(project))
    try:
        found = [records.read(reports / task.name) for name in names for task in tox.tasks_of(project, name, reports)]
    except RecordError:
        return 1
    return 0 if all(outcome(run).status in records.IN_ORDER for run in found) else 1
