"""What changed since the baseline, as the gate says it."""

from __future__ import annotations

from typing import Any

from parity.gate.outputs import TITLES
from parity.gate.verdict import BLOCK, LEVELS, NOTE, WARN
from parity.report.panels import Cell

SHOWN = 8
"""Sentences of a level that are open; the rest is folded."""
SIGNS = {BLOCK: ("✗", "fail"), WARN: ("!", "warn"), NOTE: ("·", "")}


def view(cell: Cell) -> dict[str, Any]:
    """The gate's verdict and its sentences by level; `judged` is None where no baseline was given."""
    if cell.judged is None:
        return {"judged": None}
    levels = []
    for level in LEVELS:
        said = [group.sentence for group in cell.judged.groups if group.level == level]
        if said:
            count = cell.judged.count(level)
            levels.append((*SIGNS[level], TITLES[level], count, said[:SHOWN], said[SHOWN:]))
    return {"judged": cell.judged, "levels": levels}
