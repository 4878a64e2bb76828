"""Charts: Vega-Lite specifications rendered to static SVG by vl-convert, so that a page needs no script.

Specifications are plain data, because Altair takes a second to import and 0.1 s a chart; a test validates every
specification by Altair's copy of the schema. Colours are variables of the style sheet (`var(--jax)`), which vl-convert
passes through: a chart is light or dark with its page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import vl_convert
from markupsafe import Markup

from parity.core.text import one_line
from parity.report.numbers import exact

Spec = dict[str, Any]
WIDTH, HEIGHT = 420, 200
JAX, TENSORFLOW = "JAX", "TensorFlow"
LOWEST, HIGHEST = 0.01, 1e6
"""Scores beyond these are drawn at the edge: 0 has no place on a log scale, and infinity has none at all."""

STYLES = (
    ("tensorflow", "square"), ("ok", "triangle-up"), ("series-4", "diamond"), ("amber", "cross"),
    ("grey", "triangle-down"),
)  # fmt: skip
"""Colour and shape of series in their order, but for JAX's, which is always blue with circles."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [12, 3])
"""Of lines in their order, so that colour is not the only difference."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
INK = "currentColor"
_TEXT = {"labelColor": INK, "labelFontSize": 12}
CONFIG: Spec = {
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        **_TEXT, "titleColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": "var(--line)",
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridOpacity": 0.5,
    },
    "legend": {**_TEXT, "titleColor": INK, "orient": "top", "labelLimit": 200, "columns": 3},
    "header": {**_TEXT, "labelFontWeight": "bold"},
    "text": {"color": INK, "fontSize": 11},
    "point": {"opacity": 1, "size": 26, "filled": True},
    "rule": {"color": "var(--bad)", "strokeWidth": 1.5, "aria": False},
    "line": {"aria": False}, "tick": {"aria": False}, "area": {"aria": False},
    "axisXDiscrete": {"labelAngle": 0},
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A chart, its conclusion in a sentence, and the table of its data.

    `total` is the number of rows of the data, where the table has only the first of them.
    """

    title: str
    caption: str
    svg: Markup
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    total: int = 0


TABLE_ROWS = 200


def figure(title: str, caption: str, spec: Spec, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Figure:
    """Return the figure of a specification; its table is cut after `TABLE_ROWS` rows."""
    return Figure(title, caption, svg(spec, f"{title}. {caption}"), columns, rows[:TABLE_ROWS], len(rows))


def svg(spec: Spec, name: str) -> Markup:
    """Return the chart as an SVG element with that accessible name.

    Texts from a record are made safe for XML first; marks with a description get it as their tooltip.
    """
    root = ElementTree.fromstring(_drawn(json.dumps({"$schema": SCHEMA, **_safe(spec)})))
    _slim(root)
    width, height = (math.ceil(float(root.attrib.pop(side))) for side in ("width", "height"))
    root.attrib.pop("class", None)
    root.attrib |= {"role": "img", "aria-label": one_line(name, 400), "width": str(width), "height": str(height)}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


@lru_cache(maxsize=64)
def _drawn(spec: str) -> str:
    """Return the drawing of Vega; cached, because charts of published data are the same on every page."""
    svg: str = vl_convert.vegalite_to_svg(spec, config=CONFIG)
    return svg


_SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", _SVG[1:-1])
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A")
_DIGITS = re.compile(r"(\d+\.\d)\d+")
_DROPPED = (
    "aria-label", "aria-roledescription", "aria-hidden", "role", "class", "pointer-events", "font-family",
    "stroke-miterlimit",
)  # fmt: skip
_INHERITED = (
    "fill", "stroke", "stroke-width", "fill-opacity", "stroke-dasharray", "font-size", "font-weight", "text-anchor",
)  # fmt: skip


def _slim(parent: ElementTree.Element) -> None:
    """Drop two thirds of a drawing by Vega, which only name its parts for scripts or repeat an attribute."""
    for child in list(parent):
        tooltip = child.get("aria-label") if child.get("role") == "graphics-symbol" and not len(child) else None
        empty = child.get("class") in ("background", "foreground") and "fill" not in child.attrib
        for name in _DROPPED:
            child.attrib.pop(name, None)
        for name in {"d", "transform", "x2", "y2"} & set(child.attrib):
            child.set(name, _DIGITS.sub(r"\1", child.attrib[name]))
        if circle := _CIRCLE.match(child.get("d", "")):
            child.tag = f"{_SVG}circle"
            child.set("r", circle[1])
            del child.attrib["d"]
        if child.get("opacity") == "1":
            del child.attrib["opacity"]
        _slim(child)
        hollow = child.tag in (f"{_SVG}g", f"{_SVG}text") and not len(child) and not child.text
        if empty or hollow:
            parent.remove(child)
        elif child.tag == f"{_SVG}g" and len(child) == 1 and not child.attrib:
            parent[list(parent).index(child)] = child[0]
        elif tooltip:
            ElementTree.SubElement(child, f"{_SVG}title").text = tooltip
    if len(parent) > 1 and parent.tag == f"{_SVG}g":
        _move_to_parent(parent)


def _move_to_parent(parent: ElementTree.Element) -> None:
    """Move an inherited attribute that all children have alike to their parent."""
    for name in _INHERITED:
        values = {child.get(name) for child in parent}
        if len(values) == 1 and (value := values.pop()) is not None:
            parent.set(name, value)
            for child in parent:
                del child.attrib[name]


def _safe(value: Any) -> Any:
    """Return `value` with every text on one printable line, and None for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return one_line(value, 200)
    if isinstance(value, dict):
        return {key: _safe(inner) for key, inner in value.items()}
    return [_safe(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def number(field: str, title: str | None = None, **more: Any) -> Spec:
    """Return the encoding of a field of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def word(field: str, title: str | None = None, **more: Any) -> Spec:
    """Return the encoding of a field of words, in the order of `sort` or `scale`."""
    return {"field": field, "type": "nominal", "title": title, **more}


def series(names: Sequence[str], *channels: str, legend: Spec | None = None) -> Spec:
    """Return encodings of the field `series` by `color`, `shape` or `strokeDash`."""
    others = iter(STYLES * len(names))
    styles = [("jax", "circle") if name.casefold().split()[:1] == ["jax"] else next(others) for name in names]
    ranges: dict[str, list[Any]] = {
        "color": [f"var(--{colour})" for colour, _ in styles],
        "shape": [shape for _, shape in styles],
        "strokeDash": [DASHES[nth % len(DASHES)] for nth in range(len(names))],
    }
    more: Spec = {"legend": legend} if legend else {}
    return {name: word("series", scale={"domain": list(names), "range": ranges[name]}, **more) for name in channels}


STROKES = {"symbolType": "stroke", "symbolSize": 300, "symbolStrokeWidth": 2}
"""A legend of lines."""


def _positive(values: Iterable[float]) -> list[float]:
    return [value for value in values if 0 < value < math.inf] or [1.0]


def log_scale(values: Iterable[float]) -> Spec:
    """Return a logarithmic scale and its axis over whole powers of ten around the positive ones of `values`."""
    found = _positive(values)
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    high = max(high, low + 1)
    step = math.ceil((high - low) / 5)
    return {
        "scale": {"type": "log", "domain": [10.0**low, 10.0**high], "nice": False, "clamp": True},
        "axis": {"values": [10.0**power for power in range(low, high + 1, step)], "format": "~g"},
    }


def fine_log_scale(values: Iterable[float]) -> Spec:
    """Return a logarithmic scale close around the positive ones of `values`; its axis is at 1, 2 and 5 of each ten."""
    found = _positive(values)
    low, high = min(found) / 1.25, max(found) * 1.25
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = [step * 10.0**ten for ten in tens for step in ((1, 2, 5) if len(tens) < 3 else (1,))]
    return {
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"values": [tick for tick in ticks if low <= tick <= high], "format": "~g"},
    }


def mark(at: Iterable[float], axis: str, label: str = "", place: Spec | None = None, **style: Any) -> list[Spec]:
    """Return the layers of a line at each place on an axis, and of its label if it has one."""
    data = {"values": [{"at": each, "label": label} for each in at]}
    here = {axis: {"field": "at", "type": "quantitative"}}  # without a title, which would replace that of the axis
    line = {"data": data, "mark": {"type": "rule", **style}, "encoding": here}
    if not label:
        return [line]
    text = {"type": "text", "color": style.get("color", "var(--bad)"), **(place or {})}
    offset = {"y": {"value": 8}} if axis == "x" else {"x": {"value": WIDTH}}
    return [line, {"data": data, "mark": text, "encoding": {**here, **offset, "text": {"field": "label"}}}][
        : 1 + bool(label)
    ]


def limit_mark(limit: float, axis: str) -> list[Spec]:
    """Return the layers of a limit on an axis, with its label."""
    place = {"align": "right", **({"dx": -4} if axis == "x" else {"dy": -6})}
    return mark([limit], axis, f"limit {exact(limit)}", place)


def facets(rows: Sequence[Spec], by: str, layers: Sequence[Spec], width: int, height: int, columns: int) -> Spec:
    """Return a chart of `layers` for each value of the field `by`, in the order of `rows`."""
    shown = list(dict.fromkeys(row[by] for row in rows))
    return {
        "data": {"values": rows}, "facet": word(by, sort=shown), "columns": columns, "spacing": 16,
        "spec": {"width": width, "height": height, "layer": layers},
    }  # fmt: skip


def limit_of_facets(width: float) -> list[Spec]:
    """Return the layers of a line at the highest `limit` of each facet, by `probe`, with its label at the right."""
    place = number("limit", aggregate="max")
    text = {"type": "text", "align": "right", "dy": -6, "color": "var(--bad)"}
    label = [{"aggregate": [{"op": "max", "field": "limit", "as": "limit"}], "groupby": ["probe"]},
             {"calculate": "'limit ' + format(datum.limit, ',~g')", "as": "label"}]  # fmt: skip
    encoding = {"y": place, "x": {"value": width}, "text": {"field": "label"}}
    return [{"mark": "rule", "encoding": {"y": place}}, {"transform": label, "mark": text, "encoding": encoding}]


def within(value: float, low: float = LOWEST, high: float = HIGHEST) -> float:
    """Return `value` clipped to `low` and `high`; NaN becomes `high`."""
    return high if math.isnan(value) else min(max(value, low), high)
