"""Charts of recorded curves, and of how many scores lie where."""

from __future__ import annotations

import math
from typing import Any

from parity.records import Curve
from parity.report import charts
from parity.report.charts import HEIGHT, WIDTH, Figure
from parity.report.numbers import exact, number, rank

MARKED = 40
"""A chart with fewer values has a point for each."""

TABLED = 60
"""Rows of the table of a chart."""


def curves(recorded: list[Curve]) -> list[Figure]:
    """Return one figure per case and name, with all series on one plot and the hand-over marked."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in recorded:
        grouped.setdefault((curve.case, curve.name), []).append(curve)
    return [_figure(f"{case}: {name}", series) for (case, name), series in grouped.items()]


def _figure(title: str, series: list[Curve]) -> Figure:
    columns = (series[0].x_label, *(curve.series for curve in series))
    return charts.figure(title, _caption(series), _spec(series), columns, _rows(series))


def _rows(series: list[Curve]) -> list[tuple[str, ...]]:
    """Return a row for each x with the value of every series: at most `TABLED`, evenly, with the first and the last."""
    values = [dict(zip(curve.x, curve.y, strict=False)) for curve in series]
    places = sorted({x for found in values for x in found})
    if len(places) > TABLED:
        places = [places[round(nth * (len(places) - 1) / (TABLED - 1))] for nth in range(TABLED)]
    return [(exact(x), *(number(found.get(x)) for found in values)) for x in places]


def _handovers(series: list[Curve]) -> list[float]:
    return sorted({curve.handover for curve in series if curve.handover is not None})


def _caption(series: list[Curve]) -> str:
    points = [(y, x, c) for c in series for x, y in zip(c.x, c.y, strict=False)]
    limit = series[0].limit
    if not points:
        return "It has no values."
    if limit is not None:
        y, x, worst = max(points, key=lambda point: rank(point[0]))
        within = "within" if y <= limit else "over"
        place = f"{number(y)} at {worst.x_label} {exact(x)}"
        return f"Highest is {worst.series} with {place}, {within} the limit of {exact(limit)}."
    ends = "; ".join(f"{c.series} ends at {number(c.y[-1])}, {c.x_label} {exact(c.x[-1])}" for c in series if c.y)
    places = ", ".join(map(exact, _handovers(series)))
    return f"{ends}. Handed over at {series[0].x_label} {places}." if places else f"{ends}."


def _spec(series: list[Curve]) -> dict[str, Any]:
    limit = series[0].limit
    rows: list[dict[str, Any]] = [
        {"x": x, "y": y, "series": c.series, "text": f"{c.series}, {c.x_label} {exact(x)}: {number(y)}"}
        for c in series for x, y in zip(c.x, c.y, strict=False)
        if math.isfinite(x) and math.isfinite(y) and (limit is None or y > 0)
    ]  # fmt: skip
    y = charts.number("y", series[0].name, scale={"zero": False})
    if limit is not None:
        y |= charts.log_scale([*(row["y"] for row in rows), limit])
    axis = {"tickMinStep": 1, "grid": False, "tickCount": 8}
    place = {"x": charts.number("x", series[0].x_label, scale={"zero": False, "nice": False}, axis=axis), "y": y}
    shown = list(dict.fromkeys(curve.series for curve in series))
    coloured = charts.series(shown, "color", legend=charts.STROKES)
    layers = [{"mark": "line", "encoding": {**place, **coloured, **charts.series(shown, "strokeDash")}}]
    if len(rows) < MARKED:
        layers.append({"mark": "point", "encoding": {**place, **coloured, "description": {"field": "text"}}})
    grey = {"strokeDash": [3, 3], "color": "var(--grey)"}
    if places := _handovers(series):
        layers += charts.mark(places, "x", "hand-over", {"align": "left", "dx": 4}, **grey)
    if limit is not None:
        layers += charts.limit_mark(limit, "y")
    return {"data": {"values": rows}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def histogram(bars: list[dict[str, Any]], limit: float) -> Figure:
    """Return how many scores lie in which range, by side, with the limit marked."""
    sides = [charts.JAX, charts.TENSORFLOW]
    encoding = {
        "x": charts.number("up_to", "score", **charts.log_scale([*(bar["up_to"] for bar in bars), limit])),
        "y": charts.number("checks", "checks, log scale", **charts.log_scale([bar["checks"] for bar in bars])),
        **charts.series(sides, "color", "strokeDash"),
    }
    line = {"mark": {"type": "line", "interpolate": "step"}, "encoding": encoding}
    layers = [line, *charts.limit_mark(limit, "x")]
    spec = {"data": {"values": bars}, "width": 2 * WIDTH, "height": HEIGHT, "layer": layers}
    highest = {side: max((b["up_to"] for b in bars if b["series"] == side), default=0.0) for side in sides}
    listed = ", ".join(f"{side} {number(score)}" for side, score in highest.items())
    rows = [(bar["series"], number(bar["up_to"]), f"{bar['checks']:,}") for bar in bars]
    caption = (
        f"The highest score of each side, without a fault, is at most: {listed}; the largest limit: {exact(limit)}."
    )
    return charts.figure("Every score of the study", caption, spec, ("side", "score up to", "checks"), rows)
