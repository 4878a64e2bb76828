"""`parity study`: the false-alarm study in one environment."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

PREFIX = "study-"


def add(commands: Any) -> None:
    """Add the command's options."""
    study = commands.add_parser(
        "study",
        help="measure what honest releases score, over many trainings, in one environment",
        description="Install the releases that CELL names into this environment, train the reference case N times, and "
        "write every score to DIR/CELL.json. parity false-alarms joins them.",
    )
    study.add_argument("cell", metavar="CELL", help="such as study-py311-jax0.9.2-tf2.21.0")
    study.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("reports/study"), help="(default: reports/study)"
    )
    study.add_argument("--seeds", metavar="N", type=int, default=20, help="trainings (default: 20)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Install, and measure in a process of its own."""
    import subprocess

    from parity.core.errors import NotComparableError, UsageError
    from parity.core.storage import output_folder
    from parity.matrix.building import installing
    from parity.matrix.supervising import python
    from parity.records.cells import Cell

    if arguments.seeds < 1:
        raise UsageError(f"--seeds {arguments.seeds}: expected 1 or more.")
    cell = Cell.parse(arguments.cell.removeprefix(PREFIX))
    if cell.role:
        raise UsageError(f"{cell.name} is no pair of releases. Expected a name such as py311-jax0.9.2-tf2.21.0.")
    out = output_folder(arguments.out) / f"{cell.name}.json"
    out.unlink(missing_ok=True)  # it is of other releases, if this one fails
    measuring = python("-m", "parity.studies.study", str(out), f"--seeds={arguments.seeds}")
    for what, command in (("be installed", installing(cell)), ("be measured", measuring)):
        if subprocess.run(command, check=False).returncode:
            raise NotComparableError(f"{cell.name} cannot {what}: see above. Expected a pair that can be installed.")
    print(f"Scores: {out}")
    return 0
