"""`parity latency-honesty`: whether latency is measured honestly, measured."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

CASE = "reference"


def add(commands: Any) -> None:
    """Add the command's options."""
    study = commands.add_parser(
        "latency-honesty",
        help="measure steps against themselves and against a planted slowdown, on a quiet and on a loaded machine",
        description="Write DIR/latency-honesty.json. The exit code is 1 if a promise of the latency measurement does "
        "not hold. Takes about 40 minutes; whatever else runs meanwhile is measured too.",
    )
    study.add_argument("--out", metavar="DIR", type=Path, help="(default: reports)")
    study.add_argument(
        "--trials", metavar="N", type=int, default=100,
        help="of each slowdown and load (default: 100; fewer are a try, which takes --out)",
    )  # fmt: skip


def main(arguments: Namespace, further: list[str]) -> int:
    """Measure, write, and say what holds."""
    import textwrap

    from parity.core.errors import UsageError
    from parity.core.storage import output_folder
    from parity.records import timing_calibration as latency_honesty

    if arguments.trials < 1:
        raise UsageError(f"--trials {arguments.trials}: expected 1 or more.")
    if arguments.trials < latency_honesty.TRIALS and arguments.out is None:
        raise UsageError(
            f"--trials {arguments.trials}: expected {latency_honesty.TRIALS} or more for the study in reports. Give a "
            "folder for a try: --out DIR."
        )
    folder = output_folder(arguments.out or Path("reports"))  # a wrong one is refused before the work, not after
    try:
        from parity.cases.case import load
        from parity.core.ledger import Ledger
        from parity.core.progress import Bar
        from parity.runtimes.subject import Subject
        from parity.studies import timing_calibration as honesty
    except ImportError as error:
        raise UsageError(
            f"parity latency-honesty needs both frameworks and pytest-benchmark ({error}). Install them: "
            "pip install 'parity[jax,tensorflow,test]'"
        ) from None
    subject = Subject(load(CASE), Ledger(), Bar())
    try:
        study = honesty.measure(subject, CASE, arguments.trials, progress=Bar())
    finally:
        subject.close()
    broken = list(latency_honesty.broken(study))
    for line in latency_honesty.lines(study):
        print(line)
    print(textwrap.fill(latency_honesty.sentence(study), 80))
    for said in broken:
        print(textwrap.fill(said, 80))
    print(f"Study: {latency_honesty.write(study, folder)}")
    return 1 if broken else 0
