"""`parity atlas`: the records of many cells as one page and one table."""

from __future__ import annotations

import shutil
import sys
import textwrap
from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.core.errors import UsageError


def add(commands: Any) -> None:
    """Add the command's options."""
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


def main(arguments: Namespace, further: list[str]) -> int:
    """Join the records of many cells."""
    planned = {}
    if arguments.planned:
        from parity.matrix import tox

        planned = {name: tox.why_absent(name) for name in tox.declared(Path.cwd(), arguments.planned)}
    if not arguments.reports.is_dir():
        raise UsageError(f"{arguments.reports} is no folder. Expected the folder of the records that cells leave.")
    return join(arguments.reports, planned, arguments)


def join(reports: Path, planned: dict[str, str], arguments: Namespace) -> int:
    """Show the atlas of `reports`, and write what the arguments ask for; returns the exit code."""
    from parity.compat import readers
    from parity.core import storage
    from parity.export import archives
    from parity.matrix import aggregation, tox
    from parity.records import atlas as atlases
    from parity.report import atlas_text, terminal

    out = getattr(arguments, "out", None) or reports
    archive = tox.archive_of(Path.cwd()) if planned else None
    joined = aggregation.join(reports, planned, out, archives.listed(archive) if archive else ())
    print(terminal.atlas(joined.atlas, shutil.get_terminal_size().columns))
    print(textwrap.fill(atlas_text.verdict(joined.atlas), 80))
    if getattr(arguments, "write_readers", False):
        storage.write_atomically(readers.TABLE, readers.dumps({**readers.table(), **joined.limits}))
        readers.table.cache_clear()
    if not getattr(arguments, "show_only", False):
        print(f"Atlas: {aggregation.write(joined, out, getattr(arguments, 'readme', None))}")
    problems = joined.problems() if getattr(arguments, "full", False) else []
    for problem in problems:
        print(f"parity: {problem}", file=sys.stderr)
    return 1 if problems or not atlases.in_order(joined.atlas) else 0
