"""Every check, the worst first, each with a permalink; and the command that repeats each item."""

from __future__ import annotations

import math
from typing import Any

from parity.core.text import plural
from parity.records import IN_ORDER, Check
from parity.report import facts
from parity.report.panels import Cell

ORDER = 130

NUMBERS = ("batch_size", "score", "limit", "jax_score", "max_abs_diff")
"""Columns in which a value may be infinite or a word, so that it is not sorted by its text."""


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the rows of both tables; None where nothing was planned."""
    if not cell.checks:
        return None
    commands = {check.item: check.repeat for check in reversed(cell.checks) if check.repeat}
    items = dict.fromkeys(check.item for check in cell.checks)
    ids = {item: cell.id(f"item-{nth}") for nth, item in enumerate(items, 1)}
    plain = {name: all(_plain(name, getattr(check, name)) for check in cell.checks) for name in NUMBERS}
    bad = sum(check.status not in IN_ORDER for check in cell.checks)
    order = f"{bad:,} not in order, the worst first." if bad else "All in order, the highest score first."
    return {
        "id": cell.id("checks"),
        "commands_id": cell.id("repeat"),
        "caption": f"{plural(len(cell.checks), 'check')}. {order}",
        "rows": [_row(cell, check, ids[check.item]) for check in sorted(cell.checks, key=facts.severity)],
        "placed": {name for name, of_all in plain.items() if not of_all},
        "commands": [(ids[item], item, commands.get(item)) for item in items],
    }


def _plain(name: str, value: float | None) -> bool:
    """Return whether the text of a value sorts as its number."""
    return bool(value) if name == "batch_size" else value is None or math.isfinite(value)


def _row(cell: Cell, check: Check, command: str) -> dict[str, Any]:
    return {
        "check": check, "id": cell.row(check), "sign": facts.sign(check.status),
        "probe": facts.with_sizes(cell.label(check.case, check.probe), check),
        "bits": {True: "equal", False: "differ", None: "-"}[check.bits_equal],
        "worst": _worst(check), "reason": _reason(check), "command": command,
    }  # fmt: skip


def _worst(check: Check) -> str:
    """Return where the worst element is, and its value from the runtime, from JAX and from the oracle."""
    if check.worst is None:
        return ""
    worst = check.worst
    place = worst.index or "the only one"
    return f"{place}: {check.runtime} {worst.value:.9g}, JAX {worst.jax:.9g}, oracle {worst.oracle:.9g}"


def _reason(check: Check) -> str:
    """Return what went wrong, or a message; empty for a check that simply passed."""
    found = [check.failure, check.evidence, check.message] if check.status not in IN_ORDER else [check.message]
    return ". ".join(dict.fromkeys(text.rstrip(".") for text in found if text))
