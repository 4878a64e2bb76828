"""Latency per batch size, beside JAX's, and what a runtime costs beside its steps."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from parity.records import Footprint, Timing
from parity.report import charts
from parity.report.facts import size
from parity.report.numbers import duration, listed, memory, number, times
from parity.report.panels import Cell

JAX = "jax"
MS = 1e6
OUTLIERS_DRAWN = 5
"""The longest of a timing."""


def view(cell: Cell) -> dict[str, Any] | None:
    """The charts and tables, empty where nothing was timed and no process was measured; None without a check."""
    timings, footprints = cell.run.timings, cell.run.footprints
    if not (timings or footprints or cell.checks):
        return None
    return {
        "times": _times(timings) if timings else None,
        "ratios": _ratios(timings),
        "wide": [timing.name for timing in timings if not timing.narrow],
        "rows": [_row(timing, _steps(timings)) for timing in timings],
        "id": cell.id("timings"),
        "outliers": sum(timing.outliers for timing in timings),
        "rounds": sum(len(timing.times_ns) for timing in timings),
        "footprints": [_cost(footprint, _names(footprints)) for footprint in footprints],
        "threads": _threads(footprints) if footprints else "",
        "heaviest": _heaviest(footprints) if footprints else "",
    }


def _row(timing: Timing, step: Callable[[Timing], str]) -> dict[str, Any]:
    return {
        "timing": timing,
        "step": step(timing),
        "interval": f"{duration(timing.low_ns)} to {duration(timing.high_ns)}",
        "ratio": f"{number(timing.ratio_low)} to {number(timing.ratio_high)}" if timing.ratio_low else "-",
    }


def _times(timings: Sequence[Timing]) -> charts.Figure:
    step = _steps(timings)
    rows = [
        (step(t), size(t.batch_size), t.runtime, *map(duration, (t.median_ns, t.low_ns, t.high_ns)), t.outliers)
        for t in timings
    ]
    slowest = max(timings, key=lambda t: t.median_ns)
    caption = (
        f"The longest step is {step(slowest)} on {slowest.runtime} at batch size {size(slowest.batch_size)}: "
        f"{duration(slowest.median_ns)}. A point is the median, its bar the bootstrap interval; small ticks above are "
        f"the longest outliers, at most {OUTLIERS_DRAWN} of a point."
    )
    points = [
        {**_place(t, step), "at": t.median_ns / MS, "low": t.low_ns / MS, "high": t.high_ns / MS,
         "said": f"{t.name}: {duration(t.median_ns)}"}
        for t in timings if t.median_ns > 0 and t.low_ns > 0
    ]  # fmt: skip
    outliers = [{**_place(t, step), "outlier": ns / MS} for t in timings for ns in _outliers(t)]
    drawn = [v for p in points for v in (p["low"], p["high"])] + [o["outlier"] for o in outliers]
    y = {"type": "quantitative", "title": "ms, log scale", **charts.fine_log_scale(drawn)}
    tick = {"type": "tick", "thickness": 1, "size": 7, "opacity": 0.6, "aria": False}
    spec = _spec(timings, [*points, *outliers], y, {"mark": tick, "encoding": {"y": {**y, "field": "outlier"}}})
    columns = ("step", "batch size", "runtime", "median", "from", "to", "outliers")
    return charts.figure("Latency by batch size", caption, spec, columns, rows)


def _ratios(timings: Sequence[Timing]) -> charts.Figure | None:
    mine = [t for t in timings if None not in (t.ratio, t.ratio_low, t.ratio_high)]
    if not mine:
        return None
    step = _steps(mine)
    rows = [
        (step(t), size(t.batch_size), t.runtime, *map(times, (t.ratio, t.ratio_low, t.ratio_high)), _beside(t))
        for t in mine
    ]
    points = [
        {**_place(t, step), "at": t.ratio, "low": t.ratio_low, "high": t.ratio_high,
         "said": f"{t.name}: {times(t.ratio)}"}
        for t in mine
    ]  # fmt: skip
    y = {"type": "quantitative", "title": "times JAX", "scale": {"zero": False}}
    rule = {"type": "rule", "color": "var(--jax)", "strokeDash": [4, 3]}
    one = {"mark": rule, "encoding": {"y": {"datum": 1}, "x": None, "xOffset": None, "color": None}}
    columns = ("step", "batch size", "runtime", "ratio to JAX", "from", "to", "than JAX")
    return charts.figure("Latency beside JAX", _conclusion(mine), _spec(mine, points, y, one), columns, rows)


def _steps(timings: Sequence[Timing]) -> Callable[[Timing], str]:
    """How the step of a timing is called; with its case, where there are several."""
    several = len({timing.case for timing in timings}) > 1
    return lambda timing: f"{timing.case}: {timing.step}" if several else timing.step


def _names(footprints: Sequence[Footprint]) -> Callable[[Footprint], str]:
    """How the process of a footprint is called; with its case, where there are several."""
    several = len({footprint.case for footprint in footprints}) > 1
    return lambda of: f"{of.case}: {of.runtime}" if several else of.runtime


def _conclusion(mine: Sequence[Timing]) -> str:
    step = _steps(mine)
    slower, faster = ([t for t in mine if _beside(t) == word] for word in ("slower", "faster"))
    most, least = (of(mine, key=lambda t: t.ratio or 0.0) for of in (max, min))

    def said(t: Timing) -> str:
        where = f"{step(t)} on {t.runtime} at batch size {size(t.batch_size)}"
        return f"{times(t.ratio)} ({number(t.ratio_low)} to {number(t.ratio_high)}), {where}"

    return (
        f"Of {len(mine):,} timings {len(slower):,} are slower than JAX and {len(faster):,} faster, by an interval "
        f"without 1, the dashed line. The highest ratio is {said(most)}; the lowest {said(least)}."
    )


def _beside(timing: Timing) -> str:
    if timing.ratio_low is not None and timing.ratio_low > 1:
        return "slower"
    return "faster" if timing.ratio_high is not None and timing.ratio_high < 1 else "neither"


def _place(timing: Timing, step: Callable[[Timing], str]) -> dict[str, Any]:
    return {"step": step(timing), "size": size(timing.batch_size), "series": timing.runtime}


def _outliers(timing: Timing) -> list[int]:
    """The longest rounds beyond the third quartile by more than 1.5 times the range between the quartiles."""
    if not timing.outliers or len(timing.times_ns) < 2:
        return []
    low, _, high = statistics.quantiles(timing.times_ns, n=4, method="inclusive")
    found = sorted(ns for ns in timing.times_ns if ns > high + 1.5 * (high - low))
    return found[-OUTLIERS_DRAWN:]


def _spec(
    timings: Sequence[Timing], rows: list[dict[str, Any]], y: dict[str, Any], further: dict[str, Any]
) -> dict[str, Any]:
    """A facet for each step, with a layer of intervals, one of points, and a further one."""
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    sizes = [size(asked) for asked in sorted({t.batch_size for t in timings})]
    steps = list(dict.fromkeys(row["step"] for row in rows))
    common = {
        "x": {"field": "size", "type": "ordinal", "title": "batch size", "sort": sizes},
        "xOffset": {"field": "series", "type": "nominal", "scale": {"domain": runtimes}},
        "color": charts.colour(runtimes),
    }
    layers: list[dict[str, Any]] = [
        {"mark": "rule", "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {"mark": {"type": "point", "filled": True, "size": 36},
         "encoding": {"y": {**y, "field": "at"}, "shape": charts.shape(runtimes), "description": {"field": "said"}}},
        further,
    ]  # fmt: skip
    for layer in layers:
        whole = {**common, **layer["encoding"]}
        layer["encoding"] = {name: channel for name, channel in whole.items() if channel is not None}
    return {
        "data": {"values": rows},
        "facet": {"field": "step", "type": "nominal", "title": None, "sort": steps},
        "columns": 2, "spacing": 20,
        "spec": {"width": 330, "height": 170, "layer": layers},
    }  # fmt: skip


def _cost(footprint: Footprint, name: Callable[[Footprint], str]) -> dict[str, Any]:
    of = footprint
    return {
        "name": name(of), "batch_size": size(of.batch_size), "memory": memory(of.peak_memory_bytes),
        "threads": sum(of.threads.values()),
        "durations": [duration(ns) for ns in (of.import_ns, of.load_ns, of.first_call_ns, of.export_ns)],
        "artifact": memory(of.artifact_bytes),
    }  # fmt: skip


def _threads(footprints: Sequence[Footprint]) -> str:
    """Whether the processes have the same threads, and what differs."""
    alike: dict[str, list[str]] = {}
    for footprint in footprints:
        alike.setdefault(_counted(footprint), []).append(_names(footprints)(footprint))
    if len(alike) == 1:
        return f"Every process has the same threads: {listed(alike)}."
    said = "; ".join(
        f"{listed(runtimes)} {'has' if len(runtimes) == 1 else 'have'} {threads}" for threads, runtimes in alike.items()
    )
    return f"The processes differ in their threads, as the system names them: {said}."


def _counted(footprint: Footprint) -> str:
    return listed(f"{n} {name}" for name, n in footprint.threads.items()) if footprint.threads else "none known"


def _heaviest(footprints: Sequence[Footprint]) -> str:
    name = _names(footprints)
    most, least = (of(footprints, key=lambda f: f.peak_memory_bytes) for of in (max, min))
    return (
        f"{name(most)} takes the most memory, {memory(most.peak_memory_bytes)}, and {name(least)} the least, "
        f"{memory(least.peak_memory_bytes)}. Each was measured in a process of its own."
    )
