"""`parity verify`: check this TensorFlow against a bundle."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.cli.options import KNOWN_ISSUES, QUIET
from parity.core import native_log


def add(commands: Any) -> None:
    """Add the command's options."""
    verify = commands.add_parser(
        "verify",
        help="check this TensorFlow against a bundle; needs no JAX",
        description=f"Replay a bundle in this TensorFlow and judge the answers by the budgets in it. {QUIET}",
    )
    verify.add_argument("bundle", metavar="BUNDLE", type=Path, help="a folder or file written by parity export")
    verify.add_argument("--out", metavar="DIR", type=Path, help="also write run.json and index.html into this folder")
    verify.add_argument("--remedied", action="store_true", help="check only the export made with --readable-by")
    verify.add_argument("--known-issues", metavar="FILE", type=Path, help=KNOWN_ISSUES)
    verify.add_argument("--cell", metavar="NAME", help="name of this environment in the record (default: the bundle's)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Replay a bundle in this TensorFlow."""
    from parity import records
    from parity.core import storage
    from parity.core.progress import Bar
    from parity.session.verification import verify as verify_bundle

    if arguments.out is not None:
        storage.output_folder(arguments.out)
    options = arguments.out, arguments.cell, arguments.remedied, arguments.known_issues
    said: list[str] = []
    with native_log.kept(arguments.out):
        bar = Bar()
        try:
            done = verify_bundle(arguments.bundle, *options, bar, said.append)
        finally:
            bar.close()
    for check in done.all_checks():
        if check.status not in records.IN_ORDER:
            print(f"{check.status} {check.item} {check.leaf}: {check.message}")
    print(done.verdict())
    print(*said, sep="\n", end="\n" if said else "")
    return 0 if done.in_order() else 1
