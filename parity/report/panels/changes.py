"""What changed since the baseline, by the gate."""

from __future__ import annotations

from typing import Any

from parity.gate.outputs import TITLES
from parity.gate.verdict import BLOCK, LEVELS, NOTE, WARN
from parity.report.panels import Cell

ORDER = 30

SHOWN = 8
"""Sentences of a level that are not folded."""
SIGNS = {BLOCK: ("✗", "fail"), WARN: ("!", "warn"), NOTE: ("·", "")}


def view(cell: Cell) -> dict[str, Any]:
    """Return the gate's verdict and its sentences by level; `verdict` is None where no baseline was given."""
    if cell.verdict is None:
        return {"verdict": None}
    levels = []
    for level in LEVELS:
        sentences = [group.sentence for group in cell.verdict.groups if group.level == level]
        if sentences:
            count = cell.verdict.count(level)
            levels.append((*SIGNS[level], TITLES[level], count, sentences[:SHOWN], sentences[SHOWN:]))
    return {"verdict": cell.verdict, "levels": levels}
