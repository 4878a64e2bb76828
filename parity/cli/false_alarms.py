"""`parity false-alarms`: the studies of several environments as one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

PAIRS, TRAININGS = 8, 20
"""What a study that counts has at least."""


def add(commands: Any) -> None:
    """Add the command's options."""
    joined = commands.add_parser(
        "false-alarms",
        help="join what parity study measured: false alarms, the limit that follows, and the power it leaves",
        description="Write DIR/false-alarms.json. The exit code is 1 if an honest pair was found wanting, or another "
        "limit than the project's follows from the scores.",
    )
    joined.add_argument("studies", metavar="STUDIES", nargs="?", type=Path, default=Path("reports/study"))
    joined.add_argument("--out", metavar="DIR", type=Path, default=Path("reports"), help="(default: reports)")


def main(arguments: Namespace, further: list[str]) -> int:
    """Join, write, and say what follows."""
    import textwrap

    from parity.core.storage import output_folder
    from parity.records import false_alarms
    from parity.scoring.rules import LIMIT

    study = false_alarms.join(false_alarms.read(arguments.studies), LIMIT)
    path = false_alarms.write(study, output_folder(arguments.out))
    print(textwrap.fill(false_alarms.sentence(study), 80))
    for alarm in study["false_alarms"]:
        print(f"false alarm: {alarm}")
    few = [pair["cell"] for pair in study["pairs"] if pair["trainings"] < TRAININGS]
    if len(study["pairs"]) < PAIRS or few:
        print(f"Expected at least {PAIRS} pairs with {TRAININGS} trainings each; found {len(study['pairs'])} pairs.")
    if study["follows"] != LIMIT:
        print(f"The limit that follows is {study['follows']:g}, and rules.LIMIT is {LIMIT:g}.")
    print(f"Study: {path}")
    wanting = len(study["pairs"]) < PAIRS or few
    return 1 if wanting or study["false_alarms"] or study["follows"] != LIMIT else 0
