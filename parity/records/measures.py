"""What the atlas keeps of latencies, memory and sizes: enough to see how they change over releases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from parity.records.numbers import short

if TYPE_CHECKING:
    from parity.records import Run

KEPT = ("peak_memory_bytes", "load_ns", "first_call_ns", "import_ns", "export_ns", "artifact_bytes")
"""Of a footprint."""
STEPS = ("predict", "train_step")
"""Whose latency is kept."""
GROWN = 1.5
"""The factor from which on two sizes differ: more than repeats and neighbouring releases do, see `gate/policy.toml`."""
BATCH_SIZES = (1, 13, 256, 1024)
"""At which steps are timed by default."""
BETWEEN_PROCESSES = 0.02
"""How much two processes of one program may differ for as long as they live, relative, whatever the rounds: by where
their memory lies, and which core they are given. Pairs of JAX's differed by up to that; intervals of ratios are that
much wider (Kalibera and Jones, 2013, Rigorous benchmarking in reasonable time, on levels of repetition)."""

Footprints = dict[str, dict[str, int | None]]


def footprints(run: Run) -> Footprints:
    """By runtime what it costs beside its steps, see `records.Footprint`; of the first case that was measured."""
    mine = [footprint for footprint in run.footprints if footprint.case == run.footprints[0].case]
    return {f.runtime: {name: _whole(getattr(f, name)) for name in KEPT} for f in mine}


def latency(run: Run) -> dict[str, Any] | None:
    """Return the latency of `STEPS` at the largest batch size at which all were measured; None where there is none.

    By step and runtime the ratio to jax as `[ratio, low, high]`, and the median in nanoseconds; of the first case and
    device that were measured.
    """
    first = run.timings[0] if run.timings else None
    mine = [t for t in run.timings if first and (t.case, t.device) == (first.case, first.device) and t.step in STEPS]
    sizes: dict[tuple[str, str], set[int]] = {}
    for timing in mine:
        sizes.setdefault((timing.step, timing.runtime), set()).add(timing.batch_size)
    size = max(set.intersection(*sizes.values()), default=None) if sizes else None
    if size is None:
        return None
    ratios: dict[str, dict[str, list[float | None]]] = {}
    medians: dict[str, dict[str, int | None]] = {}
    for timing in mine:
        if timing.batch_size == size:
            medians.setdefault(timing.step, {})[timing.runtime] = _whole(timing.median_ns)
        if timing.batch_size == size and timing.ratio is not None:
            ends = timing.ratio, timing.ratio_low, timing.ratio_high
            ratios.setdefault(timing.step, {})[timing.runtime] = [
                short(end, 4) if end is not None and math.isfinite(end) else None for end in ends
            ]
    return {"batch_size": size, "ratios": ratios, "median_ns": medians}


def _whole(value: float | None) -> int | None:
    return round(value) if value is not None and math.isfinite(value) else None


def sizes(footprints: Footprints) -> dict[str, int]:
    """Return the peak memory of every runtime, and the size of the artifact; what was not measured is left out."""
    found = {f"memory of {runtime}": of["peak_memory_bytes"] for runtime, of in footprints.items()}
    found["artifact"] = max((of["artifact_bytes"] or 0 for of in footprints.values()), default=0)
    return {what: size for what, size in found.items() if size}


def moved(before: Footprints, after: Footprints) -> Iterator[tuple[str, str, str]]:
    """Return the sizes that differ by more than `GROWN`: which, before and after."""
    was, became = sizes(before), sizes(after)
    for what in sorted(was.keys() & became.keys()):
        if max(was[what], became[what]) > GROWN * min(was[what], became[what]):
            yield what, _megabytes(was[what]), _megabytes(became[what])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.3g} MB"
