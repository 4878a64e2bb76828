"""Charts: Vega-Lite specifications rendered to static SVG by vl-convert, so that a page needs no script."""

from __future__ import annotations

from typing import Any

import vl_convert

from parity.records import Curve

WIDTH, HEIGHT = 420, 200
SIDES = {"JAX": "#1b6ca8", "TensorFlow": "#c2571a"}
COLOURS = {
    **SIDES, "JAX alone": "#1b6ca8", "restarted": "#c2571a", "carried": "#1a7f4b", "exported": "#7a3fa0",
    "returned": "#8a6d00", "loss": "#1b6ca8", "gradient": "#c2571a", "batch_stats": "#1a7f4b", "moments": "#7a3fa0",
    "parameters": "#8a6d00",
}  # fmt: skip
"""Of series, by name; a name that is not among them is grey."""


def curves(recorded: list[Curve]) -> list[dict[str, str]]:
    """One chart per case and name, its series on one plot, the hand-over marked: `title` and `svg`."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for curve in recorded:
        grouped.setdefault((curve.case, curve.name), []).append(curve)
    return [
        {"title": f"{case}: {name}", "svg": _svg(_curve_spec(name, series))} for (case, name), series in grouped.items()
    ]


def scores(bars: list[dict[str, Any]], limit: float) -> str:
    """How many scores lie in which range, by side; the limit marked."""
    x = {"field": "up_to", "type": "quantitative", "scale": {"type": "log"}, "title": "score"}
    y = {"field": "checks", "type": "quantitative", "scale": {"type": "log", "domainMin": 0.5}, "title": "checks"}
    shown = list(SIDES)
    color = {"field": "runtime", "type": "nominal", "title": None,
             "scale": {"domain": shown, "range": [SIDES[side] for side in shown]}}  # fmt: skip
    at = {"values": [{"at": limit, "label": f"limit {limit:g}"}]}
    place = {"field": "at", "type": "quantitative"}
    layers: list[dict[str, Any]] = [
        {"data": {"values": bars}, "mark": {"type": "line", "interpolate": "step", "point": {"size": 12}},
         "encoding": {"x": x, "y": y, "color": color, "strokeDash": {**color, "scale": {"domain": shown}}}},
        {"data": at, "mark": {"type": "rule", "color": "#b3261e", "strokeWidth": 2}, "encoding": {"x": place}},
        {"data": at, "mark": {"type": "text", "align": "right", "dx": -4, "fontSize": 11, "color": "#b3261e"},
         "encoding": {"x": place, "y": {"value": 8}, "text": {"field": "label"}}},
    ]  # fmt: skip
    return _svg({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 2 * WIDTH, "height": HEIGHT, "background": "white", "layer": layers,
    })  # fmt: skip


def _svg(spec: dict[str, Any]) -> str:
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg


def _curve_spec(name: str, series: list[Curve]) -> dict[str, Any]:
    limit = series[0].limit
    pairs = [(c.series, x, y) for c in series for x, y in zip(c.x, c.y, strict=True)]
    rows = [{"x": x, "y": y, "runtime": name} for name, x, y in pairs if limit is None or y > 0]
    x = {
        "field": "x",
        "type": "quantitative",
        "title": series[0].x_label,
        "scale": {"zero": False},
        "axis": {"tickMinStep": 1},
    }
    y = {"field": "y", "type": "quantitative", "title": name, "scale": {"type": "linear" if limit is None else "log"}}
    shown = [c.series for c in series]
    color = {"field": "runtime", "type": "nominal", "title": None,
             "scale": {"domain": shown, "range": [COLOURS.get(s, "#555555") for s in shown]}}  # fmt: skip
    layers: list[dict[str, Any]] = [
        {"data": {"values": rows}, "mark": {"type": "line", "point": len(rows) < 40},
         "encoding": {"x": x, "y": y, "color": color, "strokeDash": {**color, "scale": {"domain": shown}}}},
    ]  # fmt: skip
    places = {c.handover for c in series if c.handover is not None}
    marks = [{"at": place, "label": "hand-over"} for place in sorted(places)]
    if marks:
        at = {"field": "at", "type": "quantitative"}
        layers.append({"data": {"values": marks}, "mark": {"type": "rule", "strokeDash": [3, 3], "color": "#666666"},
                       "encoding": {"x": at}})  # fmt: skip
        layers.append({"data": {"values": marks}, "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10},
                       "encoding": {"x": at, "y": {"value": 8}, "text": {"field": "label"}}})  # fmt: skip
    if limit is not None:
        layers += _limit_line(limit)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH, "height": HEIGHT, "background": "white", "layer": layers,
    }  # fmt: skip


def _limit_line(limit: float) -> list[dict[str, Any]]:
    at = {"values": [{"at": limit, "label": f"limit {limit:g}"}]}
    place = {"field": "at", "type": "quantitative"}
    return [
        {"data": at, "mark": {"type": "rule", "color": "#b3261e", "strokeWidth": 2}, "encoding": {"y": place}},
        {"data": at, "mark": {"type": "text", "align": "right", "dy": -6, "fontSize": 11, "color": "#b3261e"},
         "encoding": {"y": place, "x": {"value": WIDTH}, "text": {"field": "label"}}},
    ]  # fmt: skip
