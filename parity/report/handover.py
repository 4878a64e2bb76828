"""The panel of a hand-over: what each way costs, its losses beside those of JAX alone, and its scores by step."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from parity.handover import HANDOVERS
from parity.records import Curve, Run, published
from parity.report import costs


def view(run: Run) -> dict[str, Any] | None:
    """What the panel shows of a run; None where nothing was handed over."""
    if not run.handover_costs:
        return None
    from parity.report import lines

    scored = any(curve.limit is not None for curve in run.curves)
    return {"costs": costs.sentences(run.handover_costs), "charts": lines.curves(curves(run)), "scored": scored}


def curves(run: Run) -> list[Curve]:
    """The curves of the panel: those with a limit, and those that the restarted training is among."""
    names = {curve.name for curve in run.curves if curve.limit is not None or curve.series in HANDOVERS}
    return [curve for curve in run.curves if curve.name in names]


def of_the_whole() -> dict[str, Any] | None:
    """Of the published run, in which training was followed to its end from several seeds: costs and losses alone."""
    run = published.run(published.HANDOVER)
    return None if run is None else view(replace(run, curves=[c for c in run.curves if c.limit is None]))
