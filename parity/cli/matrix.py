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
        help="run cells on a Dask cluster, or list them (on this machine: tox run-parallel)",
        description="Run cells on the workers of a Dask cluster, each as the tox environment of that name; leave those "
        "that are up to date, and write the atlas, unless CELLs are named. Any further argument, written as "
        "--name=value, goes to parity cell. On this machine use tox run-parallel -m LABEL, then parity atlas.",
    )
    matrix.add_argument(
        "cells", metavar="CELL", nargs="*", help="such as py311-jax0.8.0-tf2.21.0 (default: the label's)"
    )
    matrix.add_argument("--label", default="atlas", help="the label of tox.ini whose cells to run (default: atlas)")
    what = matrix.add_mutually_exclusive_group(required=True)
    what.add_argument("--cluster", metavar="ADDRESS", help="of a dask.distributed scheduler, as tcp://10.0.0.1:8786")
    what.add_argument("--list", action="store_true", help="run nothing; print the cells by role as one line of JSON")


def main(arguments: Namespace, further: list[str]) -> int:
    """List cells, or run them and write the atlas."""
    from parity.cli.atlas import join
    from parity.matrix import tox

    project = Path.cwd()
    names = list(dict.fromkeys(arguments.cells)) or tox.declared(project, arguments.label)
    if arguments.list:
        print(json.dumps(tox.by_role(names)))
        return 0
    from parity.matrix import cluster

    cluster.run_on_cluster(arguments.cluster, project, names, further, print)
    arguments.show_only = bool(arguments.cells)  # a few cells are no atlas
    return join(project / "reports", {name: tox.why_absent(name) for name in names}, arguments)
