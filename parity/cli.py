"""The `parity` command. Only the standard library is imported here; commands import what they need."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity import __version__
from parity.errors import ParityError

EPILOG = """\
exit codes: 0 in order; 1 a check failed; 2 usage; 3 not comparable (nothing
installed or nothing run); 4 unreadable or too new a record or bundle;
70 internal error; 130 interrupted (what was seen until then is recorded)

start with:  parity doctor
then:        parity run --out reports/first
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="parity",
        description="Does a model trained in JAX behave the same in TensorFlow?\nChecks the installed releases.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"parity {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_run, _doctor, _export, _verify, _report, _cell, _matrix, _atlas):
        add(commands)
    return top


SEVERAL: dict[str, Any] = {"action": "append", "default": []}
CASE = "a case by name, or path/to/file.py:name (default: reference)"


def _run(commands: Any) -> None:
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
    run.add_argument("--cell", metavar="NAME", help="name of this environment in the record (default: tox's)")


def _doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say what JAX writes, what TensorFlow reads, and what follows",
        description="Say what is installed and whether the pair will work, before anything is converted. The exit code "
        "is 0 if it works as exported by default.",
    )
    doctor.add_argument("--case", metavar="CASE", default="reference", help=f"whose operations to look at: {CASE}")


def _export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="train a case and export it into a bundle",
        description="Write a bundle: SavedModels, inputs, JAX's answers, the float64 oracle and budgets. "
        "parity verify replays it where JAX is not installed.",
    )
    export.add_argument("bundle", metavar="BUNDLE", type=Path, help="the new folder")
    export.add_argument("--case", metavar="CASE", default="reference", help=CASE)
    sizes = "store this batch size, or 'test'; may be given several times (default: 1, 13 and 256)"
    export.add_argument("--batch-size", metavar="N", **SEVERAL, help=sizes)
    remedied = "export once more so that this TensorFlow can read it, such as tensorflow==2.16.2"
    export.add_argument("--readable-by", metavar="RELEASE", help=remedied)


def _verify(commands: Any) -> None:
    verify = commands.add_parser(
        "verify",
        help="check this TensorFlow against a bundle; needs no JAX",
        description="Replay a bundle in this TensorFlow and judge the answers by the budgets in it.",
    )
    verify.add_argument("bundle", metavar="BUNDLE", type=Path, help="a folder written by parity export")
    verify.add_argument("--out", metavar="DIR", type=Path, help="also write run.json and index.html into this folder")
    verify.add_argument("--remedied", action="store_true", help="check only the export made with --readable-by")
    verify.add_argument("--cell", metavar="NAME", help="name of this environment in the record (default: the bundle's)")


def _report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="turn run records into one HTML page",
        description="Write one self-contained HTML page about one or more runs.",
    )
    report.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run.json, or the folder that has it")
    report.add_argument("--out", metavar="FILE", type=Path, help="the page (default: index.html beside the first run)")


def _cell(commands: Any) -> None:
    cell = commands.add_parser(
        "cell",
        help="install the releases that a cell names into this environment, and check them",
        description="What a tox environment of the matrix runs. Whatever happens, a sealed record is left. Any further "
        "argument goes to parity run.",
    )
    cell.add_argument("name", metavar="CELL", help="such as py312-jax0.9.2-tf2.21.0, or latest")
    cell.add_argument("--reports", metavar="DIR", type=Path, default=Path("reports"), help="folder of all records")
    cell.add_argument("--time-limit", metavar="S", type=float, default=1200.0, help="end a run after so many seconds")
    cell.add_argument("--fresh", action="store_true", help="run again what is up to date")


def _matrix(commands: Any) -> None:
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


def _atlas(commands: Any) -> None:
    atlas = commands.add_parser(
        "atlas",
        help="join the records of many cells into one page and one table",
        description="Write index.html and atlas.json beside the records in REPORTS, and say what became of every cell.",
    )
    atlas.add_argument("reports", metavar="REPORTS", nargs="?", type=Path, default=Path("reports"))
    atlas.add_argument(
        "--planned", metavar="LABEL", help="count what this label of tox.ini has and no record, as missing"
    )
    atlas.add_argument("--out", metavar="DIR", type=Path, help="write them here (default: REPORTS)")
    atlas.add_argument("--show-only", action="store_true", help="write nothing")
    atlas.add_argument("--full", action="store_true", help="fail if a listed known issue matched nothing")
    atlas.add_argument("--readme", metavar="FILE", type=Path, help="also put the grid between the markers in this file")
    atlas.add_argument("--write-readers", action="store_true", help="write the table of readers from what they said")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments, further = parser().parse_known_args(argv)
    if further and arguments.command not in ("run", "cell", "matrix"):
        parser().error(f"unknown arguments for {arguments.command}: {' '.join(further)}")
    try:
        from parity import commands

        code: int = getattr(commands, arguments.command)(arguments, further)
        return code
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("parity: interrupted", file=sys.stderr)
        return 130
    except Exception:
        import traceback

        traceback.print_exc()
        return 70
