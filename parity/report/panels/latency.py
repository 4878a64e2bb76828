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

ORDER = 80

MS = 1e6
OUTLIERS_DRAWN = 5
"""Of a timing, the longest."""


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the charts and tables, empty where nothing was timed or measured; None without a check."""
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
         "text": f"{t.name}: {duration(t.median_ns)}"}
        for t in timings if t.median_ns > 0 and t.low_ns > 0
    ]  # fmt: skip
    outliers = [{**_place(t, step), "outlier": ns / MS} for t in timings for ns in _outliers(t)]
    drawn = [v for p in points for v in (p["low"], p["high"])] + [o["outlier"] for o in outliers]
    y = {"type": "quantitative", "title": "ms, log scale", **charts.fine_log_scale(drawn)}
    tick = {"type": "tick", "thickness": 1, "size": 7, "opacity": 0.6}
    place = _placed(timings)
    layer = {"mark": tick, "encoding": {**place, "y": {**y, "field": "outlier"}}}
    spec = _spec(timings, [*points, *outliers], place, y, layer)
    columns = ("step", "batch size", "runtime", "median", "from", "to", "outliers")
    return charts.figure("Latency by batch size", caption, spec, columns, rows)


def _ratios(timings: Sequence[Timing]) -> charts.Figure | None:
    known = [t for t in timings if None not in (t.ratio, t.ratio_low, t.ratio_high)]
    if not known:
        return None
    step = _steps(known)
    rows = [
        (step(t), size(t.batch_size), t.runtime, *map(times, (t.ratio, t.ratio_low, t.ratio_high)), _relative_to_jax(t))
        for t in known
    ]
    points = [
        {**_place(t, step), "at": t.ratio, "low": t.ratio_low, "high": t.ratio_high,
         "text": f"{t.name}: {times(t.ratio)}"}
        for t in known
    ]  # fmt: skip
    y = {"type": "quantitative", "title": "times JAX", "scale": {"zero": False}}
    rule = {"type": "rule", "color": "var(--jax)", "strokeDash": [4, 3]}
    one = {"mark": rule, "encoding": {"y": {"datum": 1}}}
    columns = ("step", "batch size", "runtime", "ratio to JAX", "from", "to", "than JAX")
    spec = _spec(known, points, _placed(known), y, one)
    return charts.figure("Latency beside JAX", _caption(known), spec, columns, rows)


def _steps(timings: Sequence[Timing]) -> Callable[[Timing], str]:
    """Return a function that names the step of a timing; with its case, where there are several."""
    several = len({timing.case for timing in timings}) > 1
    return lambda timing: f"{timing.case}: {timing.step}" if several else timing.step


def _names(footprints: Sequence[Footprint]) -> Callable[[Footprint], str]:
    """Return a function that names the process of a footprint; with its case, where there are several."""
    several = len({footprint.case for footprint in footprints}) > 1
    return lambda found: f"{found.case}: {found.runtime}" if several else found.runtime


def _caption(known: Sequence[Timing]) -> str:
    step = _steps(known)
    slower, faster = ([t for t in known if _relative_to_jax(t) == word] for word in ("slower", "faster"))
    most, least = (choose(known, key=lambda t: t.ratio or 0.0) for choose in (max, min))

    def text(t: Timing) -> str:
        where = f"{step(t)} on {t.runtime} at batch size {size(t.batch_size)}"
        return f"{times(t.ratio)} ({number(t.ratio_low)} to {number(t.ratio_high)}), {where}"

    return (
        f"Of {len(known):,} timings {len(slower):,} are slower than JAX and {len(faster):,} faster, by an interval "
        f"without 1, the dashed line. The highest ratio is {text(most)}; the lowest {text(least)}."
    )


def _relative_to_jax(timing: Timing) -> str:
    if timing.ratio_low is not None and timing.ratio_low > 1:
        return "slower"
    return "faster" if timing.ratio_high is not None and timing.ratio_high < 1 else "neither"


def _place(timing: Timing, step: Callable[[Timing], str]) -> dict[str, Any]:
    return {"step": step(timing), "size": size(timing.batch_size), "series": timing.runtime}


def _outliers(timing: Timing) -> list[int]:
    """Return the longest rounds beyond the third quartile by more than 1.5 times the range between the quartiles."""
    if not timing.outliers or len(timing.times_ns) < 2:
        return []
    low, _, high = statistics.quantiles(timing.times_ns, n=4, method="inclusive")
    found = sorted(ns for ns in timing.times_ns if ns > high + 1.5 * (high - low))
    return found[-OUTLIERS_DRAWN:]


def _placed(timings: Sequence[Timing]) -> dict[str, Any]:
    """Return the encoding of batch size and runtime, side by side."""
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    sizes = [size(each) for each in sorted({t.batch_size for t in timings})]
    return {
        "x": {"field": "size", "type": "ordinal", "title": "batch size", "sort": sizes},
        "xOffset": {"field": "series", "type": "nominal", "scale": {"domain": runtimes}},
        **charts.series(runtimes, "color"),
    }


def _spec(
    timings: Sequence[Timing], rows: list[dict[str, Any]], place: dict[str, Any], y: dict[str, Any],
    layer: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Return a facet for each step, with intervals, points, and a further layer."""
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    shape = charts.series(runtimes, "shape")
    at = {**place, **shape, "y": {**y, "field": "at"}, "description": {"field": "text"}}
    layers: list[dict[str, Any]] = [
        {"mark": "rule", "encoding": {**place, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {"mark": {"type": "point", "size": 36}, "encoding": at},
        layer,
    ]
    return charts.facets(rows, "step", layers, 330, 170, 2)


def _cost(footprint: Footprint, name: Callable[[Footprint], str]) -> dict[str, Any]:
    f = footprint
    return {
        "name": name(f), "batch_size": size(f.batch_size), "memory": memory(f.peak_memory_bytes),
        "threads": sum(f.threads.values()),
        "durations": [duration(ns) for ns in (f.import_ns, f.load_ns, f.first_call_ns, f.export_ns)],
        "artifact": memory(f.artifact_bytes),
    }  # fmt: skip


def _threads(footprints: Sequence[Footprint]) -> str:
    """Return whether the processes have the same threads, and what differs."""
    alike: dict[str, list[str]] = {}
    for footprint in footprints:
        alike.setdefault(_counted(footprint), []).append(_names(footprints)(footprint))
    if len(alike) == 1:
        return f"Every process has the same threads: {listed(alike)}."
    counted = "; ".join(
        f"{listed(runtimes)} {'has' if len(runtimes) == 1 else 'have'} {threads}" for threads, runtimes in alike.items()
    )
    return f"The processes differ in their threads, as the system names them: {counted}."


def _counted(footprint: Footprint) -> str:
    return listed(f"{n} {name}" for name, n in footprint.threads.items()) if footprint.threads else "none known"


def _heaviest(footprints: Sequence[Footprint]) -> str:
    name = _names(footprints)
    most, least = (choose(footprints, key=lambda f: f.peak_memory_bytes) for choose in (max, min))
    return (
        f"{name(most)} takes the most memory, {memory(most.peak_memory_bytes)}, and {name(least)} the least, "
        f"{memory(least.peak_memory_bytes)}. Each was measured in a process of its own."
    )
