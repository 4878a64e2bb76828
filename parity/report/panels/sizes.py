"""How the highest score of each probe depends on the batch size."""

from __future__ import annotations

import math
from typing import Any

from parity.report import charts, facts
from parity.report.charts import JAX, TENSORFLOW
from parity.report.numbers import exact, number, rank
from parity.report.panels import Cell
from parity.report.panels.scores import HIGHEST, LOWEST


def view(cell: Cell) -> dict[str, Any] | None:
    """The chart; None where no probe was asked at several batch sizes."""
    points = _points(cell)
    if not points:
        return None
    rows = [
        (p["probe"], p["series"], facts.size_words(p["size"]), number(p["highest"]), exact(p["limit"])) for p in points
    ]
    columns = ("probe", "side", "batch size", "highest score", "limit")
    title = "Scores over batch sizes"
    return {"figure": charts.figure(title, _conclusion(points), _spec(points), columns, rows)}


def _points(cell: Cell) -> list[dict[str, Any]]:
    points = []
    for row in facts.matrix(cell.checks):
        asked = [c for c in row.at() if c.score is not None and facts.on_tensorflow(c) and c.batch_size]
        sizes = sorted({check.batch_size for check in asked})
        for size in sizes if len(sizes) > 1 else ():
            mine = [check for check in asked if check.batch_size == size]
            limit = max((c.limit for c in mine if c.limit is not None), default=None)
            jax = [check.jax_score for check in mine if check.jax_score is not None]
            scores = [check.score for check in mine if check.score is not None]
            for side, found in ((JAX, jax), (TENSORFLOW, scores)):
                if found:
                    highest = max(found, key=rank)
                    points.append({
                        "probe": cell.name(row.case, row.probe), "series": side, "size": size, "highest": highest,
                        "limit": limit,
                    })  # fmt: skip
    return points


def _conclusion(points: list[dict[str, Any]]) -> str:
    mine = [p for p in points if p["series"] == TENSORFLOW]
    worst = max(mine, key=lambda p: rank(p["highest"]))
    by_size = [
        (size, max((p["highest"] for p in mine if p["size"] == size), key=rank))
        for size in sorted({p["size"] for p in mine})
    ]
    listed = ", ".join(f"{number(highest)} at {size:,}" for size, highest in by_size)
    return (
        "Of the probes asked at several batch sizes: "
        f"TensorFlow's highest score is {listed}. The highest of all is {worst['probe']}'s, of "
        f"{exact(worst['limit'])} allowed. The highest over all leaves and runtimes is drawn."
    )


def _spec(points: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [
        {**p, "size": f"{p['size']:,}", "highest": charts.drawable(p["highest"], LOWEST, HIGHEST),
         "said": f"{p['series']} at {p['size']:,}: {number(p['highest'])}"}
        for p in points
    ]  # fmt: skip
    limits = [p["limit"] for p in points if p["limit"] is not None and math.isfinite(p["limit"])]
    sides = [JAX, TENSORFLOW]
    x = {"field": "size", "type": "ordinal", "title": "batch size",
         "sort": [f"{size:,}" for size in sorted({p["size"] for p in points})]}  # fmt: skip
    y = {"field": "highest", "type": "quantitative", "title": "highest score",
         **charts.log_scale([*(p["highest"] for p in rows), *limits])}  # fmt: skip
    colour = charts.colour(sides)
    layers: list[dict[str, Any]] = [
        {"mark": "line", "encoding": {"x": x, "y": y, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 36},
         "encoding": {"x": x, "y": y, "color": colour, "shape": charts.shape(sides), "description": {"field": "said"}}},
    ]  # fmt: skip
    if limits:
        layers += charts.limit_of_facets(150)
    shown = list(dict.fromkeys(p["probe"] for p in points))
    return {
        "data": {"values": rows},
        "facet": {"field": "probe", "type": "nominal", "title": None, "sort": shown},
        "columns": 5, "spacing": 14,
        "spec": {"width": 150, "height": 120, "layer": layers},
    }  # fmt: skip
