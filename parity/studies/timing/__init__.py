"""The calibration of timing: whether latency is measured truly, on an idle and on a busy machine.

A step is timed against itself, where the interval of the ratio must contain 1, and against itself with a planted
slowdown, which must be found. `parity.records.timing_calibration` has the promises, `measuring` measures.
"""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser, Namespace
from pathlib import Path

from parity.core.errors import UsageError
from parity.core.storage import output_folder
from parity.records import timing_calibration

DESCRIPTION = (
    "Time steps against themselves and against a planted slowdown, on an idle and on a busy machine, and write "
    "DIR/timing-calibration.json. The exit code is 1 if a promise of the latency measurement does not hold. Takes "
    "about 40 minutes; other programs that run meanwhile disturb it."
)
ACCEPTS_FURTHER = False
CASE = "reference"


def add(parser: ArgumentParser) -> None:
    """Add the options of the study."""
    parser.add_argument("--out", metavar="DIR", type=Path, help="(default: reports)")
    parser.add_argument(
        "--trials", metavar="N", type=int, default=100,
        help="of each slowdown and load (default: 100; fewer are a try, which takes --out)",
    )  # fmt: skip


def main(arguments: Namespace, further: list[str]) -> int:
    """Measure, write the study, print which promises are broken, and return the exit code.

    Raises:
        UsageError: too few trials for the study in reports.
    """
    if arguments.trials < 1:
        raise UsageError(f"--trials {arguments.trials}: expected 1 or more.")
    if arguments.trials < timing_calibration.TRIALS and arguments.out is None:
        raise UsageError(
            f"--trials {arguments.trials}: expected {timing_calibration.TRIALS} or more for the study in reports. "
            "Give a folder for a try: --out DIR."
        )
    folder = output_folder(arguments.out or Path("reports"))  # a wrong folder is refused before the work, not after

    from parity.cases.loading import load
    from parity.core.ledger import TimeLedger
    from parity.core.progress import Bar
    from parity.runtimes.subject import Subject
    from parity.studies.timing import measuring

    subject = Subject(load(CASE), TimeLedger(), Bar())
    try:
        study = measuring.measure(subject, CASE, arguments.trials, progress=Bar())
    finally:
        subject.close()
    broken = list(timing_calibration.broken(study))
    for line in timing_calibration.lines(study):
        print(line)
    for sentence in (timing_calibration.sentence(study), *broken):
        print(textwrap.fill(sentence, 80))
    print(f"Study: {timing_calibration.write(study, folder)}")
    return 1 if broken else 0
