"""`parity baseline accept`: a run becomes what later runs are held against."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.core.errors import UsageError


def add(commands: Any) -> None:
    """Add the command's options."""
    baseline = commands.add_parser(
        "baseline",
        help="accept a run as the baseline of its cell",
        description="Baselines are what the gate holds a run against where no old record is at hand.",
    )
    actions = baseline.add_subparsers(dest="action", required=True, metavar="ACTION")
    accept = actions.add_parser(
        "accept",
        help="show how a run differs from the baseline of its cell, and write it in its place",
        description="Show how a run differs from the baseline of its cell, and write it in its place as DIR/CELL.json. "
        "A run that is not in order is refused.",
    )
    accept.add_argument("run", metavar="RUN", type=Path, help="a run.json, or the folder that has it")
    accept.add_argument("--to", metavar="DIR", type=Path, default=Path("baselines"), help="default: baselines")
    accept.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")


def main(arguments: Namespace, further: list[str]) -> int:
    """Show the difference, ask, and write the baseline."""
    from parity import gate
    from parity.core import storage
    from parity.gate import baselines

    accepted = baselines.accept(gate.read(arguments.run))
    path = arguments.to / f"{baselines.file_name(accepted)}.json"
    text = baselines.dumps(accepted)
    print(baselines.difference(path, accepted, text))
    if path.is_file() and path.read_bytes() == text.encode():
        return 0
    if not (arguments.yes or _agreed(path)):
        print("Nothing was written.")
        return 1
    storage.write_atomically(storage.output_folder(path.parent) / path.name, text)
    print(f"Baseline: {path}")
    return 0


def _agreed(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"{path} was not written: there is no terminal to ask in. Say --yes once you have seen this.")
    return input(f"Write {path}? [y/N] ").strip().lower() in ("y", "yes")
