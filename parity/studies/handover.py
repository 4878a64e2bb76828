"""The study of hand-overs: train on in TensorFlow from five seeds, and follow the training to its end."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

DESCRIPTION = (
    "Hand the training over to TensorFlow from five seeds and follow it to its end: parity run with the tests marked "
    "long. Any further argument goes to pytest."
)
ACCEPTS_FURTHER = True


def add(parser: ArgumentParser) -> None:
    """Add the options of the study."""
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for run.json and index.html")


def main(arguments: Namespace, further: list[str]) -> int:
    """Run the long hand-overs and return the exit code."""
    from parity.suites import running

    return running.run([f"--parity-out={arguments.out}", "-m", "long", *further])
