"""`parity run`: check this environment, and write a record and a report."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from parity.cli.options import CASE, KNOWN_ISSUES, SEVERAL
from parity.records.levels import LEVELS


def add(commands: Any) -> None:
    """Add the command's options."""
    run = commands.add_parser(
        "run",
        help="check this environment, and write a record and a report",
        description="Train, export and reload a case, and compare TensorFlow with JAX. Any further argument goes to "
        "pytest, such as -k predict or -x.",
    )
    run.add_argument("--out", metavar="DIR", required=True, help="folder for run.json and index.html")
    run.add_argument("--case", metavar="CASE", **SEVERAL, help=f"{CASE}; may be given several times")
    artifact = "the SavedModel to check in place of parity's own export, made elsewhere from the weights of the case"
    run.add_argument("--artifact", metavar="DIR", help=artifact)
    run.add_argument("--runtime", metavar="NAME", **SEVERAL, help="only this runtime; may be given several times")
    run.add_argument("--probe", metavar="NAME", **SEVERAL, help="only this probe; may be given several times")
    run.add_argument("--batch-size", metavar="N", **SEVERAL, help="only this batch size, or 'test': the whole test set")
    run.add_argument(
        "--latency", action="store_true", help="also time every step on every runtime, each in a separate process"
    )
    levels = "how much to run: quick to write a case, standard (default) to gate an upgrade, full for everything"
    run.add_argument("--level", choices=LEVELS, help=levels)
    run.add_argument("--known-issues", metavar="FILE", help=KNOWN_ISSUES)
    run.add_argument("-v", "--verbose", action="count", default=0, help="show every item and the whole summary")
    run.add_argument("--cell", metavar="NAME", help="name of this environment in the record (default: tox's)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Run the suites in this environment."""
    from parity.suites import running

    options = [f"--parity-out={arguments.out}"]
    for name in ("case", "runtime", "probe", "batch_size"):
        options += [f"--parity-{name.replace('_', '-')}={value}" for value in getattr(arguments, name)]
    if arguments.latency:
        options.append("--parity-latency")
    for name in ("artifact", "level", "known_issues", "cell"):
        if value := getattr(arguments, name):
            options.append(f"--parity-{name.replace('_', '-')}={value}")
    if arguments.verbose:
        options.append("-" + "v" * arguments.verbose)
    return running.run([*options, *further])
