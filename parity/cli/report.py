"""`parity report`: run records as one HTML page, or as Markdown."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    report = commands.add_parser(
        "report",
        help="turn run records into one HTML page, or into Markdown",
        description="Write one self-contained HTML page about one or more runs.",
    )
    report.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run.json, or the folder that has it")
    report.add_argument("--baseline", metavar="FILE", type=Path, help="say what changed since this run or baseline")
    output = report.add_mutually_exclusive_group()
    output.add_argument("--out", metavar="FILE", type=Path, help="the page (default: index.html beside the first run)")
    output.add_argument("--summary", action="store_true", help="print Markdown for a CI summary, and write no page")


def main(arguments: Namespace, further: list[str]) -> int:
    """Write the page of one or more runs, or print them as Markdown."""
    from parity import records
    from parity import report as pages
    from parity.core import storage
    from parity.core.errors import UsageError

    runs = [records.read(path) for path in arguments.runs]
    verdicts = _verdicts(arguments.baseline, arguments.runs) if arguments.baseline else [None] * len(runs)
    if arguments.summary:
        from parity.report import markdown

        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        print(markdown.summary(zip(runs, verdicts, strict=True)), end="")
        return 0
    first = arguments.runs[0]
    out = arguments.out or (first if first.is_dir() else first.parent) / "index.html"
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out expects a file, such as {out / 'index.html'}.")
    storage.output_folder(out.parent)
    print(f"Report: {pages.write(runs, out, verdicts)}")
    return 0


def _verdicts(baseline: Path, runs: list[Path]) -> list[Any]:
    """Return the verdict of the gate on each run beside the baseline, by the policy of the package."""
    from parity import gate

    before, policy = gate.read(baseline), gate.load_policy()
    return [gate.judge(before, gate.read(run), policy) for run in runs]
