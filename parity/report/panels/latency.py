"""Latency per batch size, beside JAX's, and what a runtime costs beside its steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from parity.records import Footprint, Timing
from parity.report import charts
from parity.report.numbers import count, duration, listed, memory, number, times
from parity.report.panels import Cell

JAX = "jax"
MS = 1e6
OUTLIERS_DRAWN = 5
"""The longest of a timing."""


def view(cell: Cell) -> dict[str, Any] | None:
    """The charts and tables; None where nothing was timed and no process was measured."""
    timings, footprints = cell.run.timings, cell.run.footprints
    if not timings and not footprints:
        return None
    return {
        "times": _times(timings) if timings else None,
        "ratios": _ratios(timings) if any(t.ratio is not None for t in timings) else None,
        "wide": [timing.name for timing in timings if not timing.narrow],
        "rows": [_row(timing) for timing in timings],
        "id": cell.id("latency"),
        "outliers": sum(timing.outliers for timing in timings),
        "rounds": sum(len(timing.times_ns) for timing in timings),
        "footprints": [_cost(footprint) for footprint in footprints],
        "threads": _threads(footprints) if footprints else "",
        "heaviest": _heaviest(footprints) if footprints else "",
    }


def _row(timing: Timing) -> dict[str, Any]:
    return {
        "timing": timing,
        "interval": f"{duration(timing.low_ns)} to {duration(timing.high_ns)}",
        "ratio": f"{number(timing.ratio_low)} to {number(timing.ratio_high)}" if timing.ratio_low else "-",
    }


def _times(timings: Sequence[Timing]) -> charts.Figure:
    rows = [
        (
            t.step,
            f"{t.batch_size:,}",
            t.runtime,
            duration(t.median_ns),
            duration(t.low_ns),
            duration(t.high_ns),
            t.outliers,
        )
        for t in timings
    ]
    slowest = max(timings, key=lambda t: t.median_ns)
    caption = (
        f"The longest step is {slowest.step} on {slowest.runtime} at batch size {slowest.batch_size:,}: "
        f"{duration(slowest.median_ns)}. A point is the median, its bar the bootstrap interval; small ticks above are "
        f"the longest outliers, at most {OUTLIERS_DRAWN} of a point."
    )
    points = [
        {**_place(t), "at": t.median_ns / MS, "low": t.low_ns / MS, "high": t.high_ns / MS,
         "said": f"{t.name}: {duration(t.median_ns)}"}
        for t in timings if t.median_ns > 0 and t.low_ns > 0
    ]  # fmt: skip
    outliers = [{**_place(t), "at": ns / MS} for t in timings for ns in _outliers(t)]
    scale = charts.fine_log_scale([v for p in points for v in (p["low"], p["high"])] + [o["at"] for o in outliers])
    y = {"field": "at", "type": "quantitative", "title": "ms, log scale", **scale}
    far = {"mark": {"type": "tick", "thickness": 1, "aria": False, "size": 7, "opacity": 0.6}, "data": outliers, "y": y}
    spec = _spec(timings, points, y, [far] if outliers else [])
    columns = ("step", "batch size", "runtime", "median", "from", "to", "outliers")
    return charts.figure("Latency by batch size", caption, spec, columns, rows)


def _ratios(timings: Sequence[Timing]) -> charts.Figure:
    mine = [t for t in timings if t.ratio is not None and t.ratio_low is not None and t.ratio_high is not None]
    rows = [
        (t.step, f"{t.batch_size:,}", t.runtime, times(t.ratio), times(t.ratio_low), times(t.ratio_high), _beside(t))
        for t in mine
    ]
    points = [
        {**_place(t), "at": t.ratio, "low": t.ratio_low, "high": t.ratio_high, "said": f"{t.name}: {times(t.ratio)}"}
        for t in mine
    ]
    y = {"field": "at", "type": "quantitative", "title": "times JAX", "scale": {"zero": False}}
    one = {"mark": {"type": "rule", "color": "var(--jax)", "strokeDash": [4, 3]}, "data": None, "y": {"datum": 1}}
    columns = ("step", "batch size", "runtime", "ratio to JAX", "from", "to", "which is")
    spec = _spec(mine, points, y, [one])
    return charts.figure("Latency beside JAX", _conclusion(mine), spec, columns, rows)


def _conclusion(mine: Sequence[Timing]) -> str:
    slower, faster = ([t for t in mine if _beside(t) == word] for word in ("slower", "faster"))
    most, least = (of(mine, key=lambda t: t.ratio or 0.0) for of in (max, min))

    def said(t: Timing) -> str:
        where = f"{t.step} on {t.runtime} at batch size {t.batch_size:,}"
        return f"{times(t.ratio)} ({number(t.ratio_low)} to {number(t.ratio_high)}), {where}"

    return (
        f"Of {len(mine):,} timings {len(slower):,} are slower than JAX and {len(faster):,} faster, by an interval "
        f"without 1, the dashed line. The highest ratio is {said(most)}; the lowest {said(least)}."
    )


def _beside(timing: Timing) -> str:
    if timing.ratio_low is not None and timing.ratio_low > 1:
        return "slower"
    return "faster" if timing.ratio_high is not None and timing.ratio_high < 1 else "not apart"


def _place(timing: Timing) -> dict[str, Any]:
    return {"step": timing.step, "size": f"{timing.batch_size:,}", "series": timing.runtime}


def _outliers(timing: Timing) -> list[int]:
    """The longest rounds beyond the third quartile by more than 1.5 times the range between the quartiles."""
    if not timing.outliers or len(timing.times_ns) < 2:
        return []
    low, _, high = statistics.quantiles(timing.times_ns, n=4, method="inclusive")
    found = sorted(ns for ns in timing.times_ns if ns > high + 1.5 * (high - low))
    return found[-OUTLIERS_DRAWN:]


def _spec(
    timings: Sequence[Timing], points: list[dict[str, Any]], y: dict[str, Any], beside: list[dict[str, Any]]
) -> dict[str, Any]:
    """A column for each step; `beside` are further layers."""
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    sizes = [f"{size:,}" for size in sorted({t.batch_size for t in timings})]
    x = {"field": "size", "type": "ordinal", "title": "batch size", "sort": sizes}
    shift = {"field": "series", "type": "nominal", "scale": {"domain": runtimes}}
    colour = charts.colour(runtimes)
    wide = {"x": x, "xOffset": shift, "color": colour}
    layers: list[dict[str, Any]] = [
        {"mark": "rule", "encoding": {**wide, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {"mark": {"type": "point", "filled": True, "size": 36},
         "encoding": {**wide, "y": y, "shape": charts.shape(runtimes), "description": {"field": "said"}}},
    ]  # fmt: skip
    steps = list(dict.fromkeys(t.step for t in timings))
    rows = [{**point, "kind": "point"} for point in points]
    for i, layer in enumerate(beside):
        if layer["data"] is None:
            layers.append({"mark": layer["mark"], "encoding": {"y": layer["y"]}})
        else:
            rows += [{**row, "kind": f"beside {i}"} for row in layer["data"]]
            only = [{"filter": {"field": "kind", "equal": f"beside {i}"}}]
            layers.append({"transform": only, "mark": layer["mark"], "encoding": {**wide, "y": layer["y"]}})
    for layer in layers[:2]:
        layer["transform"] = [{"filter": {"field": "kind", "equal": "point"}}]
    return {
        "data": {"values": rows},
        "facet": {"field": "step", "type": "nominal", "title": None, "sort": steps},
        "columns": 2, "spacing": 20,
        "spec": {"width": 330, "height": 170, "layer": layers},
    }  # fmt: skip


def _cost(footprint: Footprint) -> dict[str, Any]:
    of = footprint
    return {
        "runtime": of.runtime, "batch_size": count(of.batch_size), "memory": memory(of.peak_memory_bytes),
        "threads": sum(of.threads.values()),
        "durations": [duration(ns) for ns in (of.import_ns, of.load_ns, of.first_call_ns, of.export_ns)],
        "artifact": memory(of.artifact_bytes),
    }  # fmt: skip


def _threads(footprints: Sequence[Footprint]) -> str:
    """Whether the processes have the same threads, and what differs."""
    first = footprints[0]
    if all(footprint.threads == first.threads for footprint in footprints):
        return f"Every process has the same threads: {_counted(first)}."
    said = "; ".join(f"{footprint.runtime} {_counted(footprint)}" for footprint in footprints)
    return f"The processes differ in their threads, so times are not of equal means: {said}."


def _counted(footprint: Footprint) -> str:
    return listed(f"{n} {name}" for name, n in footprint.threads.items()) if footprint.threads else "none known"


def _heaviest(footprints: Sequence[Footprint]) -> str:
    most, least = (of(footprints, key=lambda f: f.peak_memory_bytes) for of in (max, min))
    return (
        f"{most.runtime} takes the most memory, {memory(most.peak_memory_bytes)}, and {least.runtime} the least, "
        f"{memory(least.peak_memory_bytes)}. Each was measured in a process of its own."
    )
