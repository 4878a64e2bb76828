"""What unblocks the run, with code to copy; and the known issues, which do not block it."""

from __future__ import annotations

from typing import Any

from parity.report import advice
from parity.report.advice import Advice
from parity.report.panels import Cell

ORDER = 20


def view(cell: Cell) -> dict[str, Any]:
    """Return each advice with the row of its check: what blocks, and known issues."""
    return {
        "blocking": [(each, _row(cell, each)) for each in advice.blocking(cell.run)],
        "known": [(each, _row(cell, each)) for each in advice.known(cell.run, cell.checks)],
    }


def _row(cell: Cell, each: Advice) -> str | None:
    return None if each.check is None else cell.row(each.check)
