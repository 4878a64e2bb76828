"""The verdict in one sentence, and what it rests on."""

from __future__ import annotations

from typing import Any

from parity.report.panels import Cell


def view(cell: Cell) -> dict[str, Any]:
    """The sentence, how many checks have which status, and what was left out."""
    run = cell.run
    return {
        "sentence": run.verdict(),
        "in_order": run.in_order(),
        "counts": sorted(run.counts().items()),
        "when": f"Started {run.started_at}, ended {run.ended_at or 'not known'}, {run.state}.",
        "stopped": run.stopped,
        "left_out": run.environment.get("left_out", ()),
        "limits": sorted({(c.case, c.limit_reason) for c in cell.checks if c.limit_reason}),
    }
