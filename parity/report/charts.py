"""Charts: Vega-Lite specifications rendered to static SVG by vl-convert, so that a page needs no script.

Specifications are plain data. Altair's objects would be checked as they are made, which costs a second to import and
0.1 s a chart, so a test holds every specification against Altair's copy of the schema instead.
Colours are those of the page's style sheet, by name (`var(--jax)`), which vl-convert passes through: a chart is light
or dark with its page.
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

from parity.gate.text import one_line
from parity.report.numbers import exact

WIDTH, HEIGHT = 420, 200
JAX, TENSORFLOW = "JAX", "TensorFlow"
COLOURS = {
    JAX: "jax", TENSORFLOW: "tensorflow",
    "JAX alone": "jax", "restarted": "tensorflow", "carried": "ok", "exported": "series-4", "returned": "amber",
    "loss": "jax", "gradient": "tensorflow", "batch_stats": "ok", "moments": "series-4", "parameters": "amber",
    "jax": "jax", "tf_graph": "tensorflow", "tf_xla": "ok", "saved_model": "series-4", "saved_model_fresh": "amber",
    "tf_eager": "grey",
}  # fmt: skip
"""Of series, by name: variables of the style sheet; a name that is not among them is grey."""

SHAPES = {
    "jax": "circle", "tensorflow": "square", "ok": "triangle-up", "series-4": "diamond", "amber": "cross",
    "grey": "triangle-down",
}  # fmt: skip
"""Of points, by the name of their colour."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [12, 3])
"""Of lines, in their order, so that colour does not say it alone."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
INK = "currentColor"
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": "var(--line)",
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridOpacity": 0.5,
    },
    "legend": {
        "labelColor": INK, "titleColor": INK, "orient": "top", "labelFontSize": 12,
        "labelLimit": 200, "columns": 3,
    },
    "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": "bold"},
    "text": {"color": INK, "fontSize": 11},
    "point": {"opacity": 1, "size": 26},
    "rule": {"color": "var(--bad)", "strokeWidth": 1.5, "aria": False},
    "line": {"aria": False},
    "tick": {"aria": False},
    "axisXDiscrete": {"labelAngle": 0},
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A chart, what it shows in a sentence made of its data, and the table of that data.

    `total` is how many rows there are, where the table has only the first of them.
    """

    title: str
    caption: str
    svg: Markup
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    total: int = 0


TABLE_ROWS = 200


def figure(
    title: str, caption: str, spec: dict[str, Any], columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Figure:
    """The figure of a specification; its table is cut after `TABLE_ROWS` rows."""
    return Figure(title, caption, svg(spec, f"{title}. {caption}"), columns, rows[:TABLE_ROWS], len(rows))


def svg(spec: dict[str, Any], name: str) -> Markup:
    """The chart as an SVG element with that accessible name.

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
    """By Vega; charts of what ships with parity are the same on every page."""
    svg: str = vl_convert.vegalite_to_svg(spec, config=CONFIG)
    return svg


_SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", _SVG[1:-1])
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A")
_DIGITS = re.compile(r"(\d+\.\d)\d+")
_OF_VEGA = (
    "aria-label", "aria-roledescription", "aria-hidden", "role", "class", "pointer-events", "font-family",
    "stroke-miterlimit",
)  # fmt: skip

_INHERITED = (
    "fill",
    "stroke",
    "stroke-width",
    "fill-opacity",
    "stroke-dasharray",
    "font-size",
    "font-weight",
    "text-anchor",
)


def _slim(parent: ElementTree.Element) -> None:
    """Keep what is seen of a drawing by Vega; a third of it is, the rest names its parts for scripts."""
    for child in list(parent):
        said = child.get("aria-label") if child.get("role") == "graphics-symbol" and not len(child) else None
        empty = child.get("class") in ("background", "foreground") and "fill" not in child.attrib
        for name in _OF_VEGA:
            child.attrib.pop(name, None)
        for name in ("d", "transform", "x2", "y2"):
            if name in child.attrib:
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
        elif said:
            ElementTree.SubElement(child, f"{_SVG}title").text = said
    if len(parent) > 1 and parent.tag == f"{_SVG}g":
        _share(parent)


def _share(parent: ElementTree.Element) -> None:
    """Say once, of the parent, what all of its children inherit alike."""
    for name in _INHERITED:
        values = {child.get(name) for child in parent}
        if len(values) == 1 and (value := values.pop()) is not None:
            parent.set(name, value)
            for child in parent:
                del child.attrib[name]


def _safe(value: Any) -> Any:
    """`value` with every text on one line of characters that show themselves, and None for what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return one_line(value, 200)
    if isinstance(value, dict):
        return {key: _safe(inner) for key, inner in value.items()}
    return [_safe(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def colour(shown: Sequence[str]) -> dict[str, Any]:
    """The encoding of the field `series` as colour."""
    return {
        "field": "series", "type": "nominal", "title": None,
        "scale": {"domain": list(shown), "range": [f"var(--{COLOURS.get(name, 'grey')})" for name in shown]},
    }  # fmt: skip


def shape(shown: Sequence[str]) -> dict[str, Any]:
    """The encoding of the field `series` as the shape of a point, so that colour does not say it alone."""
    ranged = [SHAPES[COLOURS.get(name, "grey")] for name in shown]
    return {"field": "series", "type": "nominal", "title": None, "scale": {"domain": list(shown), "range": ranged}}


def dashes(shown: Sequence[str]) -> dict[str, Any]:
    """The encoding of the field `series` as the dashes of a line."""
    ranged = [DASHES[nth % len(DASHES)] for nth in range(len(shown))]
    return {"field": "series", "type": "nominal", "title": None, "scale": {"domain": list(shown), "range": ranged}}


def _on_it(values: Iterable[float]) -> list[float]:
    return [value for value in values if 0 < value < math.inf] or [1.0]


def log_scale(values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic scale and its axis over whole powers of ten around those of `values` that are on it."""
    found = _on_it(values)
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    high = max(high, low + 1)
    step = math.ceil((high - low) / 5)
    return {
        "scale": {"type": "log", "domain": [10.0**low, 10.0**high], "nice": False, "clamp": True},
        "axis": {"values": [10.0**power for power in range(low, high + 1, step)], "format": "~g"},
    }


def fine_log_scale(values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic scale close around those of `values` that are on it; its axis is at 1, 2 and 5 in each ten."""
    found = _on_it(values)
    low, high = min(found) / 1.25, max(found) * 1.25
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    steps = (1, 2, 5) if len(tens) < 3 else (1,)
    ticks = [step * 10.0**ten for ten in tens for step in steps if low <= step * 10.0**ten <= high]
    return {
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"values": ticks, "format": "~g"},
    }


def limit_line(limits: Iterable[float], width: float | None = None) -> list[dict[str, Any]]:
    """The layers of a horizontal line for each limit; with its name at the right end of `width`."""
    at = {"values": [{"at": limit, "label": f"limit {exact(limit)}"} for limit in sorted(set(limits))]}
    place = {"field": "at", "type": "quantitative"}
    label = {
        "data": at, "mark": {"type": "text", "align": "right", "dy": -6, "color": "var(--bad)"},
        "encoding": {"y": place, "x": {"value": width}, "text": {"field": "label"}},
    }  # fmt: skip
    return [{"data": at, "mark": "rule", "encoding": {"y": place}}, *([label] if width else [])]


def limit_of_facets(width: float) -> list[dict[str, Any]]:
    """The layers of a line at the highest `limit` of each facet, by `probe`, named at the right end of `width`."""
    place = {"field": "limit", "type": "quantitative", "aggregate": "max"}
    mark = {"type": "text", "align": "right", "dy": -6, "color": "var(--bad)"}
    said = [{"aggregate": [{"op": "max", "field": "limit", "as": "limit"}], "groupby": ["probe"]},
            {"calculate": "'limit ' + format(datum.limit, ',~g')", "as": "label"}]  # fmt: skip
    named = {"y": place, "x": {"value": width}, "text": {"field": "label"}}
    return [{"mark": "rule", "encoding": {"y": place}}, {"transform": said, "mark": mark, "encoding": named}]


def drawable(value: float, low: float, high: float) -> float:
    """`value` within `low` and `high`; at an edge where it is beyond it, or at the upper one where it is no number."""
    return high if math.isnan(value) else min(max(value, low), high)
