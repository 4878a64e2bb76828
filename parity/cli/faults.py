"""`parity faults`: plant every fault of the catalogue, and say what catches it."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from pathlib import Path
from typing import Any

from parity.cli.options import SEVERAL
from parity.core.errors import UsageError


def add(commands: Any) -> None:
    """Add the command's options."""
    faults = commands.add_parser(
        "faults",
        help="plant known faults, and say which check catches each",
        description="Plant every fault of the catalogue in a trained and exported model, or in parity itself, ask the "
        "suite's questions, and say what catches it. Exit code 0 if each is caught or below the published power.",
    )
    faults.add_argument("--out", metavar="DIR", type=Path, help="folder for faults.json (the whole catalogue only)")
    faults.add_argument("--group", metavar="NAME", **SEVERAL, help="only this group; may be given several times")
    faults.add_argument("--only", metavar="WORDS", **SEVERAL, help="only faults with these words in their name")
    faults.add_argument(
        "--quick", action="store_true", help="one or two faults of each group, and all in parity itself"
    )


def main(arguments: Namespace, further: list[str]) -> int:
    """Plant the chosen faults; returns the exit code."""
    from parity.core.storage import output_folder

    try:
        from parity.studies import faults
        from parity.studies.faults import outcomes, running, table

        chosen = faults.chosen(arguments.group, arguments.only, arguments.quick)
    except ImportError as error:
        raise UsageError(
            f"parity faults needs both frameworks, flax, optax, pytest and rich ({error}). Install them: "
            "pip install 'parity[jax,tensorflow,test,report]'"
        ) from None
    if arguments.out:
        output_folder(arguments.out)  # a wrong one is refused before the work, not after
    found, facts = running.run(chosen, arguments.quick)
    table.show(found)
    print(textwrap.fill(outcomes.sentence(found), 80))
    if arguments.out and len(chosen) == len(faults.catalogue()) and not arguments.quick:
        print(f"Faults: {outcomes.write(arguments.out, found, facts)}")
    elif arguments.out:
        print("Nothing written: faults.json holds the whole catalogue, and this was a part of it.")
    return 0 if all(outcome.in_order for outcome in found) else 1
