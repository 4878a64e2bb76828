"""The curves of training, and training handed over."""

from __future__ import annotations

from typing import Any

from parity.report import handover, lines
from parity.report.panels import Cell

ORDER = 70


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the charts of the curves, those of a hand-over apart; None where nothing was recorded."""
    shown = handover.view(cell.run)
    handed_over = handover.curves(cell.run) if shown else []
    rest = [curve for curve in cell.run.curves if curve not in handed_over]
    return {"charts": lines.curves(rest), "handover": shown} if rest or shown else None
