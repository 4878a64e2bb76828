"""The study of false alarms: how high sound pairs of releases score, and the limit that follows from it.

`run` measures one pair of releases in its environment, over many trainings of several cases, and writes
DIR/CELL/CASE.json; `join` makes `false-alarms.json` of the measurements of several pairs (see
`parity.records.false_alarms`).
"""

from __future__ import annotations

import shutil
import textwrap
from argparse import ArgumentParser, Namespace
from pathlib import Path

from parity.core import silence
from parity.core.errors import NotComparableError, UsageError
from parity.core.storage import output_folder

DESCRIPTION = (
    "Measure how high sound pairs of releases score over many trainings, and derive the limit and the power that "
    "it leaves."
)
ACCEPTS_FURTHER = False
PREFIX = "study-"
"""Of the tox environments of this study, which is not part of a cell's name."""
PAIRS, TRAININGS = 8, 20
"""The least that a complete study has."""
LARGE = "reference"
"""The case that is asked at every size, and whose power is measured."""
_MODELS = Path(__file__).with_name("models.py")
CASES = (LARGE, f"{_MODELS}:images", f"{_MODELS}:counts", "zoo")
"""What is measured; the name of a group stands for its cases."""
OTHERS = 4
"""How many times as often the reference is trained as the other cases, which are trained twice at least."""


def add(parser: ArgumentParser) -> None:
    """Add the options of the study."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    run = steps.add_parser(
        "run",
        help="measure one pair of releases in this environment",
        description="Install the releases that CELL names into this environment, train each case several times, and "
        "write every score to DIR/CELL/CASE.json.",
    )
    run.add_argument("cell", metavar="CELL", help="such as py311-jax0.9.2-tf2.21.0")
    run.add_argument("--out", metavar="DIR", type=Path, default=Path("reports/study"), help="(default: reports/study)")
    run.add_argument("--seeds", metavar="N", type=int, default=20, help="trainings of the reference (default: 20)")
    run.add_argument("--case", metavar="CASE", action="append", help="only this case; may be given several times")
    anywhere = "install into this environment, although tox did not make it for CELL; its jax and tensorflow change"
    run.add_argument("--into-this-environment", action="store_true", help=anywhere)
    run.set_defaults(call=measure)
    join = steps.add_parser(
        "join",
        help="join the measurements of several pairs, and derive the limit",
        description="Write false-alarms.json. The exit code is 1 if a sound pair raised an alarm, too little was "
        "measured, or another limit than the project's follows from the scores.",
    )
    join.add_argument("studies", metavar="DIR", nargs="?", type=Path, default=Path("reports/study"), help="of `run`")
    join.add_argument("--out", metavar="DIR", type=Path, default=Path("reports"), help="(default: reports)")
    join.set_defaults(call=join_measurements)


def main(arguments: Namespace, further: list[str]) -> int:
    """Run or join, and return the exit code."""
    code: int = arguments.call(arguments)
    return code


def measure(arguments: Namespace) -> int:
    """Install the releases, and measure them in a separate process.

    Raises:
        UsageError: the name is not that of a pair of releases, there is no training, or the environment is another's.
        NotComparableError: the pair cannot be installed or measured.
    """
    from parity.cases.loading import members
    from parity.matrix.child_process import python
    from parity.matrix.installation import install_command, require_environment_of
    from parity.records.cells import Cell

    if arguments.seeds < 1:
        raise UsageError(f"--seeds {arguments.seeds}: expected 1 or more.")
    cell = Cell.parse(arguments.cell.removeprefix(PREFIX))
    if cell.role:
        raise UsageError(f"{cell.name} is no pair of releases. Expected a name such as py311-jax0.9.2-tf2.21.0.")
    if not arguments.into_this_environment:
        require_environment_of(f"{PREFIX}{cell.name}")
    folder = arguments.out / cell.name
    if folder.is_dir():
        shutil.rmtree(folder)  # if this measurement fails, none of other releases is left in its place
    folder = output_folder(folder)
    _supervise(f"{cell.name} cannot be installed", install_command(cell))
    for case in (case for name in arguments.case or CASES for case in members(name) or [name]):
        seeds = arguments.seeds if case == LARGE else max(arguments.seeds // OTHERS, 2)
        out = folder / f"{case.rpartition(':')[2].replace('/', '-')}.json"
        command = python("-m", "parity.studies.false_alarms.measuring", str(out), case, f"--seeds={seeds}")
        _supervise(f"{case} cannot be measured under {cell.name}", command)
    print(f"Scores: {folder}")
    return 0


def _supervise(otherwise: str, command: list[str]) -> None:
    from parity.matrix.child_process import supervise

    code, stopped, _ = supervise(command, None, lambda: False, None, silence.limit_s(silence.CELL), lambda: False)
    if code:
        reason = stopped.evidence if stopped else "the output above has the reason"
        raise NotComparableError(f"{otherwise}: {reason}. Expected a pair that can be installed and is sound.")


def join_measurements(arguments: Namespace) -> int:
    """Join the measurements, write the study, and print what follows from it.

    Raises:
        RecordError: a file is not a measurement.
        NotComparableError: there is none.
    """
    from parity.records import false_alarms
    from parity.scoring.rules import LIMITS

    study = false_alarms.join(false_alarms.read(arguments.studies), LIMITS)
    path = false_alarms.write(study, output_folder(arguments.out))
    print(textwrap.fill(false_alarms.sentence(study), 80))
    for alarm in study["false_alarms"]:
        print(f"false alarm: {alarm}")
    for pair in study["pairs"]:
        for case, reason in pair["cases_left_out"].items():
            print(f"left out: {case} under {pair['cell']}: {reason}")
    few = len(study["pairs"]) < PAIRS or any(pair["trainings"] < TRAININGS for pair in study["pairs"])
    if few:
        print(f"Expected at least {PAIRS} pairs with {TRAININGS} trainings each; found {len(study['pairs'])} pairs.")
    if study["follow"] != LIMITS:
        print(f"The limits that follow are {study['follow']}, and rules.LIMITS is {LIMITS}.")
    print(f"Study: {path}")
    return 1 if few or study["false_alarms"] or study["follow"] != LIMITS else 0
