"""`parity export`: train a case and write a bundle."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.cli.options import CASE, QUIET, SEVERAL
from parity.core import native_log


def add(commands: Any) -> None:
    """Add the command's options."""
    export = commands.add_parser(
        "export",
        help="train a case and export it into a bundle",
        description="Write a bundle: SavedModels, inputs, JAX's answers, the float64 oracle and budgets. "
        f"parity verify replays it where JAX is not installed. {QUIET}",
    )
    export.add_argument(
        "bundle",
        metavar="BUNDLE",
        type=Path,
        help="the new folder; a name that ends in .tar.xz makes it one compressed file",
    )
    export.add_argument("--case", metavar="CASE", default="reference", help=CASE)
    sizes = "store this batch size, or 'test'; may be given several times (default: 1, 13 and 256)"
    export.add_argument("--batch-size", metavar="N", **SEVERAL, help=sizes)
    remedied = "export once more so that this TensorFlow can read it, such as tensorflow==2.16.2"
    export.add_argument("--readable-by", metavar="RELEASE", help=remedied)
    training = "also write what TensorFlow needs to train on: the optimizer's state, and train_step"
    export.add_argument("--training", action="store_true", help=training)


def main(arguments: Namespace, further: list[str]) -> int:
    """Train a case and write a bundle."""
    from parity.session.exporting import export_case

    sizes = tuple(arguments.batch_size)
    with native_log.kept(None):
        export_case(arguments.case, sizes, arguments.bundle, arguments.readable_by, arguments.training)
    print(f"Bundle: {arguments.bundle}. Check it anywhere: parity verify {arguments.bundle}")
    if arguments.training:
        print(f"Hand-over: {arguments.bundle / 'handover'}. Whether it is right: parity run --probe trajectory")
    return 0
