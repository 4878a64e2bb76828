"""`parity report`: run records as one HTML page."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.errors import UsageError


def add(commands: Any) -> None:
    """Add the command's options."""
    report = commands.add_parser(
        "report",
        help="turn run records into one HTML page",
        description="Write one self-contained HTML page about one or more runs.",
    )
    report.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run.json, or the folder that has it")
    report.add_argument("--out", metavar="FILE", type=Path, help="the page (default: index.html beside the first run)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Write the HTML page of one or more runs."""
    from parity import records, storage
    from parity import report as pages

    runs = [records.read(path) for path in arguments.runs]
    first = arguments.runs[0]
    out = arguments.out or (first if first.is_dir() else first.parent) / "index.html"
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out expects a file, such as {out / 'index.html'}.")
    storage.output_folder(out.parent)
    print(f"Report: {pages.write(runs, out)}")
    return 0
