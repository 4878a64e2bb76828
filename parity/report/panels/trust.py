"""Why a verdict can be trusted: the planted faults and the false-alarm study, once on a page."""

from __future__ import annotations

from typing import Any

from parity.report import trust
from parity.report.panels import Cell


def view(cell: Cell) -> dict[str, Any] | None:
    """What was measured of the suite itself."""
    return None if cell.number else trust.view()
