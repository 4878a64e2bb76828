"""The power statement: the smallest error in a weight that each probe would catch."""

from __future__ import annotations

import math
from typing import Any

from parity.records import Power
from parity.report.numbers import number
from parity.report.panels import Cell


def view(cell: Cell) -> dict[str, Any] | None:
    """Per probe and batch size the weight tensor seen best and the one seen worst; None where no power is known."""
    grouped: dict[tuple[str, str, int], list[Power]] = {}
    for power in cell.run.powers:
        grouped.setdefault((power.case, power.probe, power.batch_size), []).append(power)
    if not grouped:
        return None
    rows = []
    for (case, probe, size), powers in grouped.items():
        ordered = sorted(powers, key=lambda p: p.smallest_relative_error)
        rows.append({"probe": cell.name(case, probe), "size": size, "best": ordered[0], "worst": ordered[-1]})
    best = min(cell.run.powers, key=lambda p: p.smallest_relative_error)
    caption = f"A relative error of {number(best.smallest_relative_error)} in {best.weight} would be caught."
    if math.isinf(best.smallest_relative_error):
        caption = "No probe would catch an error in any weight."
    return {"rows": rows, "caption": caption}
