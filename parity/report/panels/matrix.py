"""The matrix: probe, runtime and batch size, each with its worst check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parity.core.text import plural
from parity.records import IN_ORDER, Check
from parity.report import facts
from parity.report.numbers import exact, number
from parity.report.panels import Cell

ORDER = 40


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the rows by runtime, and by runtime and batch size, with the worst check of each."""
    rows = facts.matrix(cell.checks)
    if not rows:
        return None
    runtimes = facts.runtimes([*cell.run.plan, *cell.checks])
    sizes = sorted({check.batch_size for check in cell.checks})
    return {
        "caption": _caption(cell.checks),
        "runtimes": runtimes,
        "sizes": [facts.size_words(size) for size in sizes],
        "rows": [(row.label, [_worst(cell, row.at(name)) for name in runtimes]) for row in rows],
        "lines": [
            (row.label, name, [_worst(cell, row.at(name, size)) for size in sizes])
            for row in rows
            for name in runtimes
            if row.at(name)
        ],
    }


def _worst(cell: Cell, checks: Sequence[Check]) -> dict[str, Any] | None:
    if not checks:
        return None
    worst = min(checks, key=facts.severity)
    text = f"{plural(len(checks), 'check')}; the worst: {worst.leaf}, {facts.check_size(worst)}"
    return {"status": worst.status, "score": worst.score, "row": cell.row(worst), "text": text}


def _caption(checks: Sequence[Check]) -> str:
    bad = sum(check.status not in IN_ORDER for check in checks)
    order = f"{bad:,} of {plural(len(checks), 'check')} are not in order" if bad else "Every check is in order"
    scored = [check for check in checks if check.score is not None and facts.on_tensorflow(check)]
    if not scored:
        return f"{order}; none has a score."
    worst = min(scored, key=facts.severity)
    return (
        f"{order}; the worst score is {number(worst.score)}, of {exact(worst.limit)} allowed: {worst.leaf} of "
        f"{facts.row_name(worst)} on {worst.runtime}, {facts.check_size(worst)}."
    )
