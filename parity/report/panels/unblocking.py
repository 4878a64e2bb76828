"""What unblocks the run, with code to copy; and the known issues, which do not block it."""

from __future__ import annotations

from typing import Any

from parity.report import facts
from parity.report.panels import Cell


def view(cell: Cell) -> dict[str, Any]:
    """Each way with the row of its check, what blocks apart from what is known."""
    return {
        "blocking": [(way, _row(cell, way)) for way in facts.ways(cell.run)],
        "known": [(way, _row(cell, way)) for way in facts.known(cell.checks)],
    }


def _row(cell: Cell, way: facts.Way) -> str | None:
    return None if way.check is None else cell.row(way.check)
