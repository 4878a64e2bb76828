"""The power statement: the smallest error in a weight that each probe would catch."""

from __future__ import annotations

import math
from typing import Any

from parity.records import Power
from parity.report.numbers import number
from parity.report.panels import Cell

ORDER = 110


def view(cell: Cell) -> dict[str, Any] | None:
    """Return per probe and batch size the weight tensor seen best and the one seen worst; None without a power."""
    grouped: dict[tuple[str, str, int], list[Power]] = {}
    for power in cell.run.powers:
        grouped.setdefault((power.case, power.probe, power.batch_size), []).append(power)
    if not grouped:
        return None
    rows = []
    for (case, probe, size), powers in grouped.items():
        ordered = sorted(powers, key=lambda p: p.smallest_relative_error)
        rows.append({"probe": cell.label(case, probe), "size": size, "best": ordered[0], "worst": ordered[-1]})
    return {"rows": rows, "caption": _caption(cell.run.powers)}


def _caption(powers: list[Power]) -> str:
    """Return the smallest error that is caught, without probes that compare exactly: they catch any."""
    measured = [power for power in powers if power.smallest_relative_error]
    if not measured:
        return "Every comparison is exact: any error would be caught."
    best = min(measured, key=lambda p: p.smallest_relative_error)
    if math.isinf(best.smallest_relative_error):
        return "No probe would catch an error in any weight."
    return f"A relative error of {number(best.smallest_relative_error)} in {best.weight} would be caught."
