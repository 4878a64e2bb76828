"""Every check, the worst first, each with a permalink; and the command that repeats each question, once."""

from __future__ import annotations

import math
from typing import Any

from parity.records import IN_ORDER, Check
from parity.report import facts
from parity.report.numbers import plural
from parity.report.panels import Cell

NUMBERS = ("batch_size", "score", "limit", "jax_score", "max_abs_diff")
"""Columns in which a number may be infinite or a word, which no one could sort by its text."""


def view(cell: Cell) -> dict[str, Any] | None:
    """The rows of both tables; None where nothing was planned."""
    if not cell.checks:
        return None
    commands = {check.item: check.repeat for check in reversed(cell.checks) if check.repeat}
    asked = dict.fromkeys(check.item for check in cell.checks)
    ids = {item: cell.id(f"question-{nth}") for nth, item in enumerate(asked, 1)}
    plain = {name: all(_plain(name, getattr(check, name)) for check in cell.checks) for name in NUMBERS}
    bad = sum(check.status not in IN_ORDER for check in cell.checks)
    said = f"{bad:,} not in order, the worst first." if bad else "All in order, the highest score first."
    return {
        "id": cell.id("checks"),
        "questions_id": cell.id("questions"),
        "caption": f"{plural(len(cell.checks), 'check')}. {said}",
        "rows": [_row(cell, check, ids[check.item]) for check in sorted(cell.checks, key=facts.severity)],
        "placed": {name for name, of_all in plain.items() if not of_all},
        "questions": [(ids[item], item, commands.get(item)) for item in asked],
    }


def _plain(name: str, value: float | None) -> bool:
    """Whether the text of a number sorts as it does."""
    return bool(value) if name == "batch_size" else value is None or math.isfinite(value)


def _row(cell: Cell, check: Check, question: str) -> dict[str, Any]:
    return {
        "check": check, "id": cell.row(check), "sign": facts.sign(check.status),
        "probe": cell.name(check.case, check.probe),
        "bits": {True: "equal", False: "differ", None: "-"}[check.bits_equal],
        "worst": _worst(check), "why": _why(check), "question": question,
    }  # fmt: skip


def _worst(check: Check) -> str:
    """Where the worst element is, and its value from the runtime, from JAX and from the oracle."""
    if check.worst is None:
        return ""
    worst = check.worst
    place = worst.index or "the only one"
    return f"{place}: {check.runtime} {worst.value:.9g}, JAX {worst.jax:.9g}, oracle {worst.oracle:.9g}"


def _why(check: Check) -> str:
    """What went wrong or is to be known; empty for what simply passed."""
    found = [check.failure, check.evidence, check.message] if check.status not in IN_ORDER else [check.message]
    return ". ".join(dict.fromkeys(text.rstrip(".") for text in found if text))
