"""Training handed over from JAX to TensorFlow: its cost in words, its losses beside JAX's, its scores by step."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from parity.records import Curve, HandoverCost, Run, published


def view(run: Run) -> dict[str, Any] | None:
    """Return the values of `handover.html.j2`; None where nothing was handed over."""
    if not run.handover_costs:
        return None
    from parity.report import lines

    scored = any(curve.limit is not None for curve in run.curves)
    return {"costs": costs(run), "charts": lines.curves(curves(run)), "scored": scored}


def curves(run: Run) -> list[Curve]:
    """Return the curves with a limit, and those of a name under which a hand-over method has a curve."""
    methods = {cost.method for cost in run.handover_costs}
    names = {curve.name for curve in run.curves if curve.limit is not None or curve.series in methods}
    return [curve for curve in run.curves if curve.name in names]


def published_view() -> dict[str, Any] | None:
    """Return the values for the published run, in which training was followed to its end: costs and losses alone."""
    run = published.run(published.HANDOVER)
    return None if run is None else view(replace(run, curves=[c for c in run.curves if c.limit is None]))


def costs(run: Run) -> list[str]:
    """Return a sentence for each case, method and batch size of a hand-over; one for all its seeds."""
    grouped: dict[tuple[str, str, int | None], list[HandoverCost]] = {}
    for cost in run.handover_costs:
        grouped.setdefault((cost.case, cost.method, cost.batch_size), []).append(cost)
    return [f"{_subject(found)}: {_cost(found)}{_end(found)}" for found in grouped.values()]


def _subject(costs: list[HandoverCost]) -> str:
    first, seeds = costs[0], f", {len(costs)} seeds" if len(costs) > 1 else ""
    return f"{first.case}, {first.method} after {first.step} steps in batches of {first.batch_size}{seeds}"


def _cost(costs: list[HandoverCost]) -> str:
    steps = min(cost.steps for cost in costs)
    risen = any(cost.height for cost in costs)
    if all(cost.within for cost in costs):  # a rise is then beyond a kink, where nothing is scored
        return f"{'' if risen else 'no cost; '}within budget at each of {steps} steps{_power(costs)}"
    if not risen:
        return f"the loss is never above that of JAX alone in {steps} steps"
    worst = max(costs, key=lambda cost: cost.height)
    height = _range([cost.height for cost in costs], ".1%")
    recovered = [cost.recovered_after for cost in costs]
    longest = max((steps for steps in recovered if steps is not None), default=0)
    until = "to the end" if None in recovered else f"for at most {longest} steps"
    rise = f"the loss rises {height} above that of JAX alone, {worst.after} steps after"
    return f"{rise}, and its mean over an epoch stays above {until}"


def _power(costs: list[HandoverCost]) -> str:
    """Return up to which step an error of 1 % in a weight tensor would be seen."""
    kinks = [cost.kink for cost in costs if cost.kink is not None]
    known = [cost.power_until for cost in costs if cost.power_until is not None]
    if len(known) < len(costs):
        text = ", and 1 % in a weight would not be seen in any tensor"
    elif all(cost.power_until == cost.step + cost.steps for cost in costs):
        text = ", and 1 % in some weight tensor would be seen at each"
    else:
        text = f", and 1 % in some weight tensor would be seen up to step {min(known)}"
    return text + (f"; from step {min(kinks)} on, where there is a kink, nothing is scored" if kinks else "")


def _end(costs: list[HandoverCost]) -> str:
    """Return how training ends beside JAX alone, where it was followed to its end and differs."""
    parts = [] if all(c.within for c in costs) else [f"a loss of {_range([c.end for c in costs], '.2f')} times JAX's"]
    ends = [(cost.accuracy, cost.accuracy_alone) for cost in costs]
    apart = [abs(own - alone) for own, alone in ends if own is not None and alone is not None]
    if apart:
        parts.append(f"an accuracy within {max(apart):.3f} of JAX's" if max(apart) else "the same accuracy")
    return f"; ends with {' and '.join(parts)}" if parts else ""


def _range(values: list[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"
