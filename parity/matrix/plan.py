"""Which cells there are: what tox lists, which of them this machine has no Python for, and what is archived."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from parity.core.errors import UsageError
from parity.matrix.building import uv
from parity.records.cells import Cell

DEFAULT = "default"
"""Stands for what `tox` runs without being told."""


def declared(project: Path, label: str) -> list[str]:
    """The names of the cells that `project`'s tox.ini has under `label`.

    Raises:
        UsageError: tox is not installed, or has nothing under that label.
    """
    which = ["-d"] if label == DEFAULT else ["-m", label]
    command = [sys.executable, "-m", "tox", "list", "--no-desc", "-q", *which]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    names = [line.strip() for line in done.stdout.splitlines()]
    found = [name for name in dict.fromkeys(names) if _is_cell(name)]
    if done.returncode or not found:
        said = (done.stderr.strip().splitlines() or ["it lists no cell"])[-1]
        raise UsageError(f"tox has no cells under {label!r} in {project}: {said}. Expected a label of tox.ini.")
    return found


def archive_of(project: Path) -> Path | None:
    """The folder of archived bundles that `project`'s tox.ini gives to cells; None where there is none."""
    archive = project / "fixtures" / "bundles"
    return archive if archive.is_dir() else None


def _is_cell(name: str) -> bool:
    try:
        Cell.parse(name)
    except UsageError:
        return False
    return True


@cache
def has_python(version: str) -> bool:
    """Whether this machine has that Python, found as tox-uv finds it.

    Raises:
        UsageError: uv is not installed, or cannot look.
    """
    options = ["--no-python-downloads", "--python-preference", "system"]
    command = [uv(), "python", "find", *options, f"cpython{version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "interpreter" not in done.stderr:  # none is found, or the one that is cannot be started
        raise UsageError(f"uv cannot look for Python {version}: {done.stderr.strip()}. Mend its settings.")
    return done.returncode == 0


def why_absent(name: str) -> str:
    """Why there may be no record of the cell `name`; empty where nobody knows."""
    python = Cell.parse(name).python
    return f"no Python {python} here" if python and not has_python(python) else ""
