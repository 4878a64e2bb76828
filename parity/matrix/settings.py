"""The tox.ini of cells in a user's repository: environments from this parity and what the project requires."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

from parity.core import storage
from parity.matrix import distribution

WORK = Path(".tox") / "parity"
"""The folder in a project of what is built for cells that no tox.ini of the project declares."""


def text(parity: str, cells: Iterable[str], options: str = "") -> str:
    """Return a tox.ini.

    Args:
        parity: the requirement that installs parity.
        cells: what `tox` runs.
        options: of `parity run`, in every cell.
    """
    template = Template((resources.files("parity.matrix") / "cells.ini").read_text(encoding="utf-8"))
    return template.substitute(parity=parity, cells="\n    ".join(cells), options=f" {options}" if options else "")


def write(project: Path) -> list[str]:
    """Write a tox.ini into the work folder of `project`, and return the options of tox that use it."""
    work = storage.output_folder(project / WORK)
    path = work / "tox.ini"
    storage.write_atomically(path, text(distribution.requirement(work / "wheels"), ()))
    return ["-c", str(path), "--root", str(project), "--workdir", str(work)]
