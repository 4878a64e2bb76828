"""How the highest score of each row of the matrix depends on the batch size."""

from __future__ import annotations

import math
from typing import Any

from parity.report import charts, facts
from parity.report.charts import JAX, TENSORFLOW
from parity.report.numbers import exact, number, rank
from parity.report.panels import Cell

ORDER = 60


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the chart; None where nothing was checked at several batch sizes."""
    points = [point for row in facts.matrix(cell.checks) for point in _points(row)]
    if not points:
        return None
    rows = [
        (p["probe"], p["series"], facts.size_words(p["size"]), number(p["highest"]), exact(p["limit"])) for p in points
    ]
    columns = ("test", "side", "batch size", "highest score", "limit")
    return {"figure": charts.figure("Scores over batch sizes", _caption(points), _spec(points), columns, rows)}


def _points(row: facts.Row) -> list[dict[str, Any]]:
    """Return the highest score of each side at each batch size, where there are several."""
    checks = [c for c in row.at() if c.score is not None and facts.on_tensorflow(c) and c.batch_size]
    sizes = sorted({check.batch_size for check in checks})
    points = []
    for size in sizes if len(sizes) > 1 else ():
        here = [check for check in checks if check.batch_size == size]
        limit = max((c.limit for c in here if c.limit is not None), default=None)
        for side, scores in ((JAX, [c.jax_score for c in here]), (TENSORFLOW, [c.score for c in here])):
            known = [score for score in scores if score is not None]
            if known:
                highest = max(known, key=rank)
                points.append(
                    {"probe": row.label, "series": side, "size": size, "highest": highest, "limit": limit}
                )  # fmt: skip
    return points


def _caption(points: list[dict[str, Any]]) -> str:
    own = [p for p in points if p["series"] == TENSORFLOW]
    worst = max(own, key=lambda p: rank(p["highest"]))
    by_size = [
        (size, max((p["highest"] for p in own if p["size"] == size), key=rank))
        for size in sorted({p["size"] for p in own})
    ]
    listed = ", ".join(f"{number(highest)} at {size:,}" for size, highest in by_size)
    return (
        f"TensorFlow's highest score, over all that was checked at several batch sizes, is {listed}. The highest of "
        f"all is {worst['probe']}'s, of {exact(worst['limit'])} allowed. Each point is the highest over all leaves "
        "and runtimes."
    )


def _spec(points: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [
        {**p, "size": f"{p['size']:,}", "highest": charts.within(p["highest"]),
         "text": f"{p['series']} at {p['size']:,}: {number(p['highest'])}"}
        for p in points
    ]  # fmt: skip
    limits = [p["limit"] for p in points if p["limit"] is not None and math.isfinite(p["limit"])]
    sides = [JAX, TENSORFLOW]
    sizes = [f"{size:,}" for size in sorted({p["size"] for p in points})]
    place = {
        "x": {"field": "size", "type": "ordinal", "title": "batch size", "sort": sizes},
        "y": charts.number("highest", "highest score", **charts.log_scale([*(p["highest"] for p in rows), *limits])),
        **charts.series(sides, "color"),
    }
    point = {**place, **charts.series(sides, "shape"), "description": {"field": "text"}}
    layers: list[dict[str, Any]] = [
        {"mark": "line", "encoding": place},
        {"mark": {"type": "point", "size": 36}, "encoding": point},
        *(charts.limit_of_facets(150) if limits else []),
    ]
    return charts.facets(rows, "probe", layers, 150, 120, 5)
