"""Charts of recorded curves, and of how many scores lie where."""

from __future__ import annotations

import math
from typing import Any

from parity.records import Curve
from parity.report import charts
from parity.report.charts import HEIGHT, WIDTH, Figure
from parity.report.numbers import exact, number

MARKED = 40
"""A chart with fewer values has each as a point."""

TABLED = 60
"""A chart of more places than these has so many of them in its table."""


def curves(recorded: list[Curve]) -> list[Figure]:
    """One figure per case and name, its series on one plot, the hand-over marked."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in recorded:
        grouped.setdefault((curve.case, curve.name), []).append(curve)
    return [_figure(f"{case}: {name}", series) for (case, name), series in grouped.items()]


def _figure(title: str, series: list[Curve]) -> Figure:
    first = series[0]
    columns = (first.x_label, *(curve.series for curve in series))
    return charts.figure(title, _conclusion(series), _spec(series), columns, _rows(series))


def _rows(series: list[Curve]) -> list[tuple[str, ...]]:
    """A row for each x with the value of every series, at most `TABLED`: evenly, with the first and the last."""
    values = [dict(zip(curve.x, curve.y, strict=False)) for curve in series]
    places = sorted({x for found in values for x in found})
    if len(places) > TABLED:
        places = [places[round(nth * (len(places) - 1) / (TABLED - 1))] for nth in range(TABLED)]
    return [(exact(x), *(number(found.get(x)) for found in values)) for x in places]


def _conclusion(series: list[Curve]) -> str:
    points = [(y, x, c) for c in series for x, y in zip(c.x, c.y, strict=False)]
    limit = series[0].limit
    if not points:
        return "It has no values."
    if limit is not None:
        y, x, worst = max(points, key=lambda p: math.inf if math.isnan(p[0]) else p[0])
        within = "within" if y <= limit else "over"
        place = f"{number(y)} at {worst.x_label} {exact(x)}"
        return f"Highest is {worst.series} with {place}, {within} the limit of {exact(limit)}."
    ends = "; ".join(f"{c.series} ends at {number(c.y[-1])}, {c.x_label} {exact(c.x[-1])}" for c in series if c.y)
    places = sorted({c.handover for c in series if c.handover is not None})
    marked = f" Handed over at {series[0].x_label} {', '.join(map(exact, places))}." if places else ""
    return f"{ends}.{marked}"


def _spec(series: list[Curve]) -> dict[str, Any]:
    limit = series[0].limit
    rows: list[dict[str, Any]] = [
        {"x": x, "y": y, "series": c.series, "said": f"{c.series}, {c.x_label} {exact(x)}: {number(y)}"}
        for c in series for x, y in zip(c.x, c.y, strict=False)
        if math.isfinite(x) and math.isfinite(y) and (limit is None or y > 0)
    ]  # fmt: skip
    place: dict[str, Any] = {"type": "linear", "zero": False}
    y: dict[str, Any] = {"field": "y", "type": "quantitative", "title": series[0].name, "scale": place}
    if limit is not None:
        y |= charts.log_scale([*(row["y"] for row in rows), limit])
    x = {
        "field": "x", "type": "quantitative", "title": series[0].x_label, "scale": {"zero": False, "nice": False},
        "axis": {"tickMinStep": 1, "grid": False, "tickCount": 8},
    }  # fmt: skip
    shown = list(dict.fromkeys(c.series for c in series))
    colour = {**charts.colour(shown), "legend": {"symbolType": "stroke", "symbolStrokeWidth": 2}}
    layers: list[dict[str, Any]] = [
        {"mark": "line", "encoding": {"x": x, "y": y, "color": colour, "strokeDash": charts.dashes(shown)}},
    ]
    if len(rows) < MARKED:
        point = {"x": x, "y": y, "color": charts.colour(shown), "description": {"field": "said"}}
        layers.append({"mark": {"type": "point", "filled": True}, "encoding": point})
    marks = [{"at": at, "label": "hand-over"} for at in sorted({c.handover for c in series if c.handover is not None})]
    if marks:
        at = {"field": "at", "type": "quantitative"}
        rule = {"type": "rule", "strokeDash": [3, 3], "color": "var(--grey)"}
        text = {"type": "text", "align": "left", "dx": 4, "color": "var(--grey)"}
        layers.append({"data": {"values": marks}, "mark": rule, "encoding": {"x": at}})
        layers.append({"data": {"values": marks}, "mark": text,
                       "encoding": {"x": at, "y": {"value": 8}, "text": {"field": "label"}}})  # fmt: skip
    if limit is not None:
        layers += charts.limit_line([limit], WIDTH)
    return {"data": {"values": rows}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def histogram(bars: list[dict[str, Any]], limit: float) -> Figure:
    """How many scores lie in which range, by side; the limit marked."""
    x = {"field": "up_to", "type": "quantitative", "title": "score",
         **charts.log_scale([*(bar["up_to"] for bar in bars), limit])}  # fmt: skip
    y = {"field": "checks", "type": "quantitative", "title": "checks, log scale",
         **charts.log_scale([bar["checks"] for bar in bars])}  # fmt: skip
    sides = [charts.JAX, charts.TENSORFLOW]
    at = {"values": [{"at": limit, "label": f"limit {exact(limit)}"}]}
    place = {"field": "at", "type": "quantitative"}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "line", "interpolate": "step"},
         "encoding": {"x": x, "y": y, "color": charts.colour(sides), "strokeDash": charts.dashes(sides)}},
        {"data": at, "mark": "rule", "encoding": {"x": place}},
        {"data": at, "mark": {"type": "text", "align": "right", "dx": -4, "color": "var(--bad)"},
         "encoding": {"x": place, "y": {"value": 8}, "text": {"field": "label"}}},
    ]  # fmt: skip
    highest = {side: max((b["up_to"] for b in bars if b["series"] == side), default=0.0) for side in sides}
    said = ", ".join(f"{side} {number(score)}" for side, score in highest.items())
    rows = [(bar["series"], number(bar["up_to"]), f"{bar['checks']:,}") for bar in bars]
    spec = {"data": {"values": bars}, "width": 2 * WIDTH, "height": HEIGHT, "layer": layers}
    caption = f"The highest honest score of each side is at most: {said}; the limit is {exact(limit)}."
    return charts.figure("Every score of the study", caption, spec, ("side", "score up to", "checks"), rows)
