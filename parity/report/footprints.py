"""Memory, size, times to start and latency of runtimes over releases of jax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from parity.records import JOINT
from parity.records.atlas import Atlas, Row
from parity.report.numbers import MIB, duration, memory, times

SECOND = 1e9
CHANGED = 1.05
"""Values within this factor count as the same."""


class Metric(NamedTuple):
    """One measure of a footprint: its key, its title, the axis, the unit of the axis, and its format."""

    key: str
    title: str
    axis: str
    unit: float
    format: Callable[[float | None], str]


METRICS = (
    Metric("peak_memory_bytes", "Peak memory of a runtime's process", "MiB", MIB, memory),
    Metric("load_ns", "Time to load, convert or place", "seconds", SECOND, duration),
    Metric("first_call_ns", "Time of the first call", "seconds", SECOND, duration),
    Metric("import_ns", "Time to import", "seconds", SECOND, duration),
    Metric("export_ns", "Time of the export", "seconds", SECOND, duration),
    Metric("artifact_bytes", "Size of the artifact", "MiB", MIB, memory),
)


class Point(NamedTuple):
    """A value of a runtime in a cell, with its interval where it has one."""

    jax: str
    tensorflow: str
    runtime: str
    value: float
    low: float | None = None
    high: float | None = None


def view(atlas: Atlas) -> dict[str, Any]:
    """Return the figures of footprints and latencies, and in how many cells they were measured."""
    rows = [row for row in atlas.cells if row["mode"] == JOINT and row["jax"] and row["tensorflow"]]
    ran = [row for row in rows if row["checks"]]
    measured = {name: f"{sum(bool(row.get(name)) for row in ran)} of {len(ran)}" for name in ("footprints", "latency")}
    return {"footprints": _footprints(rows), "latency": _latencies(rows), "measured": measured}


def _footprints(rows: Sequence[Row]) -> list[Any]:
    figures = []
    for metric in METRICS:
        points = [
            Point(row["jax"], row["tensorflow"], runtime, float(cost[metric.key]))
            for row in rows
            for runtime, cost in (row.get("footprints") or {}).items()
            if _measured(cost.get(metric.key))
        ]
        if points:
            figures.append(_figure(metric, points))
    return figures


def _latencies(rows: Sequence[Row]) -> list[Any]:
    measured = [row for row in rows if row.get("latency")]
    steps = dict.fromkeys(step for row in measured for step in row["latency"]["ratios"])
    figures = []
    for step in steps:
        points = [
            Point(row["jax"], row["tensorflow"], runtime, *map(float, interval))
            for row in measured
            for runtime, interval in row["latency"]["ratios"].get(step, {}).items()
            if all(map(_measured, interval))
        ]
        sizes = sorted({row["latency"]["batch_size"] for row in measured})
        title = f"Latency of {step} over JAX's, at batch size {' or '.join(map(str, sizes))}"
        if points:
            figures.append(_figure(Metric(step, title, "times JAX's latency", 1.0, times), points))
    return figures


def _measured(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _figure(metric: Metric, points: list[Point]) -> Any:
    from parity.report import charts

    runtimes = list(dict.fromkeys(point.runtime for point in points))
    pairs: dict[tuple[str, str], dict[str, Point]] = {}
    for point in points:
        pairs.setdefault((point.jax, point.tensorflow), {})[point.runtime] = point
    columns = ("jax", "tensorflow", *runtimes)
    rows = [(*pair, *(_text(metric, found.get(name)) for name in runtimes)) for pair, found in pairs.items()]
    return charts.figure(metric.title, _caption(metric, points), _spec(metric, points, runtimes), columns, rows)


def _text(metric: Metric, point: Point | None) -> str:
    if point is None:
        return "-"
    interval = "" if point.low is None else f" ({metric.format(point.low)} to {metric.format(point.high)})"
    return metric.format(point.value) + interval


def _caption(metric: Metric, points: list[Point]) -> str:
    """Return what changed most from the first to the last jax with one tensorflow; `points` are in order."""
    series: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        series.setdefault((point.tensorflow, point.runtime), []).append(point)
    spans = [(found[0], found[-1]) for found in series.values() if found[0].jax != found[-1].jax and found[0].value > 0]
    if not spans:
        most = max(points, key=lambda point: point.value)
        return f"The most is {metric.format(most.value)}, of {most.runtime} with {_pair(most)}; no two jax to compare."
    first, last = max(spans, key=lambda span: _change(*span))
    if _change(first, last) < CHANGED:
        text = f"{last.runtime} has {metric.format(last.value)} with {_pair(last)}"
        return f"From the first jax to the last nothing changed by {CHANGED - 1:.0%}: {text}."
    return (
        f"What changed most is {last.runtime}: {metric.format(first.value)} with jax {first.jax}, "
        f"{metric.format(last.value)} with jax {last.jax}, both with tensorflow {last.tensorflow}."
    )


def _change(first: Point, last: Point) -> float:
    return max(last.value / first.value, first.value / last.value if last.value > 0 else 0.0)


def _pair(point: Point) -> str:
    return f"jax {point.jax} and tensorflow {point.tensorflow}"


def _spec(metric: Metric, points: list[Point], runtimes: list[str]) -> dict[str, Any]:
    from parity.report import charts

    rows = [
        {
            "jax": p.jax, "tensorflow": f"tensorflow {p.tensorflow}", "series": p.runtime,
            "value": p.value / metric.unit,
            "low": (p.value if p.low is None else p.low) / metric.unit,
            "high": (p.value if p.high is None else p.high) / metric.unit,
        }
        for p in points
    ]  # fmt: skip
    releases = list(dict.fromkeys(point.jax for point in points))
    x = {"field": "jax", "type": "ordinal", "title": "jax", "sort": releases, "axis": {"labelAngle": -60}}
    y = charts.number("value", metric.axis, scale={"zero": metric.unit != 1})
    coloured = {"x": x, "y": y, **charts.series(runtimes, "color", legend=charts.STROKES)}
    dashed = charts.series(runtimes, "strokeDash", legend=charts.STROKES)
    alone = [{"joinaggregate": [{"op": "count", "as": "count"}], "groupby": ["tensorflow", "series"]},
             {"filter": "datum.count === 1"}]  # fmt: skip
    # A line takes a hundredth of the bytes of its points; the table has the numbers.
    layers: list[dict[str, Any]] = [
        {"mark": "line", "encoding": {**coloured, **dashed}},
        {"transform": alone, "mark": {"type": "point", "aria": False}, "encoding": coloured},
    ]
    if any(point.low is not None for point in points):
        ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
        band = {"mark": {"type": "area", "opacity": 1, "fillOpacity": 0.25}, "encoding": {**coloured, **ends}}
        layers = [band, *layers, *charts.mark([1.0], "y", color=charts.INK)]
    return charts.facets(rows, "tensorflow", layers, 160, 110, 3)
