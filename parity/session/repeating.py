"""What a question is called, and the command that asks it again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from parity.records import PlanItem
from parity.records.measures import BATCH_SIZES
from parity.session.selection import ENDURANCE, LATENCY


def ident(question: PlanItem) -> str:
    """The id of a question: what pytest shows in brackets."""
    return question.item.partition("[")[2].removesuffix("]")


def name(question: PlanItem) -> str:
    """The relation or canary in an id, which reads case-name-runtime; none of the three has a hyphen."""
    return ident(question).split("-")[1]


def command(question: PlanItem, module: str, cases: Sequence[str]) -> str:
    """The command that asks `question` of `module` again; `cases` are the names that its case was given under."""
    extra = [f"--parity-case={case}" for case in cases if list(cases) != ["reference"]]
    if question.probe == LATENCY:
        extra += _size(question)
    marked = {ENDURANCE: "long", LATENCY: LATENCY}.get(question.probe)
    extra += ["-m", marked] if marked else []
    return shlex.join([*_python(), "-m", "pytest", "--pyargs", f"{module}::{question.item}", *extra])


def _size(question: PlanItem) -> list[str]:
    """The option without which its batch size is not measured: a step's is in its id, a footprint has the largest."""
    usual = BATCH_SIZES if ident(question).count("-") > 1 else (max(BATCH_SIZES),)
    return [] if question.batch_size in usual else [f"--parity-batch-size={question.batch_size}"]


def _python() -> list[str]:
    """This interpreter as seen from the current folder; by name alone where it lies elsewhere."""
    here, python = Path.cwd(), Path(sys.executable)
    return [str(python.relative_to(here))] if python.is_relative_to(here) else ["python"]
