"""`parity run`: check this environment, and write a record and a report."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.cli.options import CASE, SEVERAL
from parity.core.errors import UsageError

PYTEST_TO_EXIT = {0: 0, 1: 1, 2: 130, 3: 70, 4: 2, 5: 3}


def add(commands: Any) -> None:
    """Add the command's options."""
    run = commands.add_parser(
        "run",
        help="check this environment, and write a record and a report",
        description="Train, export and reload a case, and compare JAX with TensorFlow. Any further argument goes to "
        "pytest, such as -k predict or -x.",
    )
    run.add_argument("--out", metavar="DIR", required=True, help="folder for run.json and index.html")
    run.add_argument("--case", metavar="CASE", **SEVERAL, help=f"{CASE}; may be given several times")
    run.add_argument("--runtime", metavar="NAME", **SEVERAL, help="only this runtime; may be given several times")
    run.add_argument("--probe", metavar="NAME", **SEVERAL, help="only this probe; may be given several times")
    run.add_argument("--batch-size", metavar="N", **SEVERAL, help="only this batch size, or 'test': the whole test set")
    run.add_argument(
        "--latency", action="store_true", help="also time every step on every runtime, in processes of their own"
    )
    run.add_argument("--cell", metavar="NAME", help="name of this environment in the record (default: tox's)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Run the suite in this environment."""
    try:
        import pytest
    except ImportError:
        raise UsageError("parity run needs pytest. Install it: pip install 'parity[test,report]'") from None
    # A pytest configuration in the current folder is about another project.
    isolated = [
        "-c",
        os.devnull,
        "--rootdir",
        str(Path(__file__).parents[2]),
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=short",
    ]
    isolated += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = ["--pyargs", "parity.suites", f"--parity-out={arguments.out}"]
    for name in ("case", "runtime", "probe", "batch_size"):
        options += [f"--parity-{name.replace('_', '-')}={value}" for value in getattr(arguments, name)]
    if arguments.latency:
        options.append("--parity-latency")
    if arguments.cell:
        options.append(f"--parity-cell={arguments.cell}")
    return PYTEST_TO_EXIT.get(int(pytest.main([*isolated, *options, *further])), 70)
