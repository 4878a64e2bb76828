"""Where and how much the worst leaves are off: a histogram of their errors, and a map of their positions."""

from __future__ import annotations

import math
from typing import Any

from parity.core.text import plural
from parity.records import Profile
from parity.report import charts, facts
from parity.report.charts import JAX, TENSORFLOW
from parity.report.numbers import exact, number, rank
from parity.report.panels import Cell

ORDER = 90

SHADES = (1.0, 0.6, 0.35, 0.18)
"""Of the map: up to the largest distance, half of it, a quarter, an eighth; less is left blank."""
BLOCKS = 32
"""The most rows, and the most columns, that are drawn of a map."""


def view(cell: Cell) -> dict[str, Any] | None:
    """Return a figure for each profile with the row of its check, and those that failed; None without a check."""
    checks = {(check.item, check.leaf): check for check in cell.checks}
    figures = []
    for profile in (found for found in cell.run.profiles if not found.failed):
        check = checks.get((profile.item, profile.leaf))
        figures.append((_figure(profile, check.limit if check else None), check and cell.row(check)))
    failed = [(_title(profile), profile.failed) for profile in cell.run.profiles if profile.failed]
    return {"figures": figures, "failed": failed} if figures or failed or checks else None


def _title(profile: Profile) -> str:
    return f"{profile.leaf} of {profile.probe} on {profile.runtime}, {facts.size_words(profile.batch_size)}"


def _figure(profile: Profile, limit: float | None) -> charts.Figure:
    bins = list(zip(profile.edges, profile.edges[1:], profile.counts, profile.jax_counts, strict=False))
    rows = [(f"{number(low)} to {number(high)}", f"{n:,}", f"{jax:,}") for low, high, n, jax in bins if n or jax]
    columns = ("distance, in budgets", f"elements of {profile.runtime}", "elements of JAX")
    found = _coarse(profile.map)
    parts = [_histogram(bins, limit), *([_map(*found, profile)] if sum(map(len, profile.map)) > 1 else [])]
    spec = {
        "hconcat": parts,
        "spacing": 40,
        "resolve": {"scale": {"color": "independent", "opacity": "independent"}},
    }
    return charts.figure(_title(profile), _caption(profile, limit), spec, columns, rows)


def _caption(profile: Profile, limit: float | None) -> str:
    total = sum(profile.counts)
    farthest = max((i for i, n in enumerate(profile.jax_counts) if n), default=-1)
    beyond = sum(profile.counts[farthest + 1 :])
    text = f"{beyond:,} of {plural(total, 'element')} lie farther from the oracle than any of JAX's."
    blocks = [(value, row, column) for row, line in enumerate(profile.map) for column, value in enumerate(line)]
    if blocks:
        value, row, column = max(blocks, key=lambda block: rank(block[0]))
        down, across = [*profile.block, 1, 1][:2]
        allowed = "" if limit is None else f", of {exact(limit)} allowed"
        text += f" The farthest lies {number(value)} budgets away{allowed}"
        if len(blocks) > 1:
            text += f", in {_span('row', row, down)}, {_span('column', column, across)}"
        text += "."
    return text


def _span(name: str, nth: int, size: int) -> str:
    return f"{name} {nth}" if size == 1 else f"{name}s {nth * size} to {(nth + 1) * size - 1}"


def _histogram(bins: list[tuple[float, float, int, int]], limit: float | None) -> dict[str, Any]:
    inside = [i for i, b in enumerate(bins) if b[2] or b[3]]
    shown = bins[inside[0] : inside[-1] + 1] if inside else bins
    rows: list[dict[str, Any]] = [
        {"low": low, "high": high, "series": side, "elements": n, "floor": 0.5,
         "text": f"{side}: {n:,} from {number(low)} to {number(high)}"}
        for low, high, count, jax in shown for side, n in ((JAX, jax), (TENSORFLOW, count)) if n and low > 0
    ]  # fmt: skip
    sides = [JAX, TENSORFLOW]
    edges = [edge for low, high, *_ in shown for edge in (low, high) if edge > 0 and math.isfinite(edge)]
    scale = charts.log_scale([*edges, *([limit] if limit and math.isfinite(limit) else [])])
    y = charts.number("elements", "elements, log scale", **charts.log_scale([0.5, *(row["elements"] for row in rows)]))
    colour = charts.series(sides, "color")["color"]
    layers: list[dict[str, Any]] = [{
        "mark": {"type": "bar", "fillOpacity": 0.25, "strokeWidth": 1.5},
        "encoding": {
            "x": charts.number("low", "distance from the oracle, in budgets", **scale),
            "x2": {"field": "high"}, "y": y, "y2": {"field": "floor"},
            "color": colour, "stroke": {**colour, "legend": None},
            "strokeDash": {"field": "series", "type": "nominal", "legend": None,
                           "scale": {"domain": sides, "range": [[1, 0], [3, 2]]}},
            "description": {"field": "text"},
        },
    }]  # fmt: skip
    if limit and math.isfinite(limit):
        layers += charts.limit_mark(limit, "x")
    return {"data": {"values": rows}, "width": 320, "height": 200, "layer": layers}


def _coarse(found: list[list[float]]) -> tuple[list[list[float]], int, int]:
    """Return the map with at most `BLOCKS` rows and columns, and how many blocks of the profile each covers."""
    down = math.ceil(len(found) / BLOCKS) or 1
    across = math.ceil(max(map(len, found), default=0) / BLOCKS) or 1
    rows = []
    for top in range(0, len(found), down):
        lines = found[top : top + down]
        width = max(map(len, lines))
        rows.append([
            max((v for line in lines for v in line[left : left + across]), key=rank)
            for left in range(0, width, across)
        ])  # fmt: skip
    return rows, down, across


def _map(found: list[list[float]], down: int, across: int, profile: Profile) -> dict[str, Any]:
    high, wide = [*profile.block, 1, 1][:2]
    finite = [value for line in found for value in line if math.isfinite(value)]
    most = max(finite, default=0.0)
    levels = [f"{number(most / 2 ** (k + 1))} to {number(most / 2**k)}" for k in range(len(SHADES))]
    rows = []
    for i, line in enumerate(found):
        for j, value in enumerate(line):
            level = 0 if not math.isfinite(value) else math.floor(math.log2(most / value)) if value > 0 else len(SHADES)
            if level < len(SHADES):
                top, left = i * down * high, j * across * wide
                rows.append({"top": top, "bottom": top + down * high, "left": left, "right": left + across * wide,
                             "level": levels[level], "text": number(value)})  # fmt: skip
    height, width = len(found) * down * high, max(map(len, found)) * across * wide
    place = {"type": "quantitative", "axis": {"tickCount": 4, "grid": False, "tickMinStep": 1}}
    return {
        "data": {"values": rows}, "width": 280, "height": 200, "view": {"stroke": "var(--line)"},
        "mark": {"type": "rect", "fill": "var(--tensorflow)"},
        "encoding": {
            "x": {**place, "field": "left", "title": "column", "scale": {"domain": [0, width], "nice": False}},
            "x2": {"field": "right"},
            "y": {**place, "field": "top", "title": "row", **({"axis": None} if height == 1 else {}),
                  "scale": {"domain": [0, height], "reverse": True, "nice": False}},
            "y2": {"field": "bottom"},
            "opacity": {
                "field": "level", "type": "ordinal", "sort": levels, "title": "largest distance in a block",
                "scale": {"type": "ordinal", "domain": levels, "range": list(SHADES)},
                "legend": {"symbolType": "square", "columnPadding": 16, "symbolFillColor": "var(--tensorflow)",
                           "symbolStrokeWidth": 0,
                           "columns": 2},
            },
        },
    }  # fmt: skip
