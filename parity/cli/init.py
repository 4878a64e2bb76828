"""`parity init`: the files of parity in your repository."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    init = commands.add_parser(
        "init",
        help="write a case, a tox.ini and a workflow into your repository",
        description="Write a case where there is none, a tox.ini with the pair of releases in use, the newest pair and "
        "latest, a GitHub workflow, a folder for baselines and a file for known issues. It asks nothing and replaces "
        "nothing.",
    )
    init.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: this folder")
    pins = "'jax==0.9.2 tensorflow==2.20.0'"
    used = f"the pair in use, such as {pins} (default: what is pinned, locked or installed)"
    init.add_argument("--from", metavar="PINS", dest="old", help=used)
    init.add_argument("--to", metavar="PINS", dest="new", help="the pair to upgrade to (default: the newest)")
    init.add_argument("--python", metavar="VERSION", help="such as 3.12 (default: this one, if it can install a pair)")
    init.add_argument("--tox", metavar="FILE", default="tox.ini", help="another name for tox.ini, where you have one")


def main(arguments: Namespace, further: list[str]) -> int:
    """Write the files, and say what to do next."""
    from parity.init import writing
    from parity.upgrade.pairs import Pair

    old, new = (Pair.parse(text) if text else None for text in (arguments.old, arguments.new))
    for line in writing.begin(arguments.folder, old, new, arguments.python, arguments.tox):
        print(line)
    return 0
