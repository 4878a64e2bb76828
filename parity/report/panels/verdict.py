"""The verdict in one sentence, and what it rests on."""

from __future__ import annotations

from typing import Any

from parity.report.panels import Cell

ORDER = 10


def view(cell: Cell) -> dict[str, Any]:
    """Return the sentence, how many checks have which status, and what was left out."""
    run = cell.run
    return {
        "sentence": run.verdict(),
        "in_order": run.in_order(),
        "counts": sorted(run.counts().items()),
        "when": f"Started {_time(run.started_at)}, ended {_time(run.ended_at)}, {run.state}.",
        "stopped": run.stopped,
        "left_out": run.environment.get("left_out", ()),
        "limits": sorted({(c.case, c.limit_reason) for c in cell.checks if c.limit_reason}),
    }


def _time(at: str | None) -> str:
    """Return a time to the minute."""
    return f"{at[:16].replace('T', ' ')} UTC" if at else "not known"
