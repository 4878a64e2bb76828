"""`parity study`: measure the suite itself."""

from __future__ import annotations

import argparse
import importlib
from argparse import Namespace
from typing import Any

from parity.core.errors import UsageError

STUDIES = {
    "faults": "plant known faults, and report which check catches each",
    "false-alarms": "measure how sound pairs of releases score; derive the limit",
    "timing": "measure how well a slowdown of a step is detected",
    "cost": "measure wall, CPU and memory of a run beside a bare script",
    "handover": "train on in TensorFlow from five seeds, to the end",
}
"""The studies, each a module of `parity.studies`, which is imported only when its study is asked for."""


def add(commands: Any) -> None:
    """Add the command's options."""
    study = commands.add_parser(
        "study",
        help="measure what the suite detects, and how often it is wrong",
        description="Measure the suite itself; `parity study STUDY --help` describes a study.\n\n"
        + "\n".join(f"  {name:<14}{summary}" for name, summary in STUDIES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.add_argument("study", metavar="STUDY", choices=STUDIES, help=f"one of {', '.join(STUDIES)}")
    study.add_argument("options", metavar="...", nargs=argparse.REMAINDER, help="the options of the study")


def parse(study: str, options: list[str]) -> tuple[Any, Namespace, list[str]]:
    """Return the module of a study, its arguments, and those that it passes on; exit with code 2 for unknown ones."""
    module = importlib.import_module(f"parity.studies.{study.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"parity study {study}", description=module.DESCRIPTION)
    module.add(parser)
    arguments, further = parser.parse_known_args(options)
    if further and not module.ACCEPTS_FURTHER:
        parser.error(f"unknown arguments: {' '.join(further)}")
    return module, arguments, further


def main(arguments: Namespace, further: list[str]) -> int:
    """Run a study and return its exit code."""
    module, options, further = parse(arguments.study, [*further, *arguments.options])
    try:
        code: int = module.main(options, further)
    except ImportError as error:
        raise UsageError(
            f"parity study {arguments.study} needs both frameworks, flax, optax, pytest and rich, but {error}. "
            "Install them: pip install 'parity[jax,tensorflow,test,report]'"
        ) from error
    return code
