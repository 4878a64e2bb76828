"""What hand-overs cost, in words."""

from __future__ import annotations

from collections.abc import Iterable

from parity.records import HandoverCost


def sentences(hits: Iterable[HandoverCost]) -> list[str]:
    """A sentence for each case, way and batch size; one for all its seeds."""
    grouped: dict[tuple[str, str, int | None], list[HandoverCost]] = {}
    for hit in hits:
        grouped.setdefault((hit.case, hit.method, hit.batch_size), []).append(hit)
    return [f"{_whose(found)}: {_cost(found)}{_ending(found)}" for found in grouped.values()]


def _whose(hits: list[HandoverCost]) -> str:
    first, seeds = hits[0], f", {len(hits)} seeds" if len(hits) > 1 else ""
    return f"{first.case}, {first.method} after {first.step} steps in batches of {first.batch_size}{seeds}"


def _cost(hits: list[HandoverCost]) -> str:
    steps = min(hit.steps for hit in hits)
    if all(hit.within for hit in hits):
        hidden = any(hit.height for hit in hits)  # beyond a kink, where nothing is judged
        said = "" if hidden else "no hit; "
        return f"{said}within budget at each of {steps} steps{_seen(hits)}"
    if not any(hit.height for hit in hits):
        return f"the loss is never above that of JAX alone in {steps} steps"
    worst = max(hits, key=lambda hit: hit.height)
    least = min(hit.height for hit in hits)
    height = f"{least:.1%} to {worst.height:.1%}" if least < worst.height else f"{worst.height:.1%}"
    back = [hit.recovered_after for hit in hits]
    longest = max((steps for steps in back if steps is not None), default=0)
    until = "to the end" if None in back else f"for at most {longest} steps"
    rise = f"the loss rises {height} above that of JAX alone, {worst.after} steps after"
    return f"{rise}, and its mean over an epoch stays above {until}"


def _seen(hits: list[HandoverCost]) -> str:
    kinks = [hit.kink for hit in hits if hit.kink is not None]
    untils = [hit.power_until for hit in hits]
    known = [until for until in untils if until is not None]
    whole = all(until == hit.step + hit.steps for until, hit in zip(untils, hits, strict=True))
    where = "at each" if whole else f"up to step {min(known, default=0)}"
    seen = f", and 1 % in some weight tensor would be seen {where}"
    if len(known) < len(untils):
        seen = ", and 1 % in a weight would not be seen in any tensor"
    return seen + (f"; from step {min(kinks)} on, where there is a kink, nothing is judged" if kinks else "")


def _ending(hits: list[HandoverCost]) -> str:
    """How training ends beside JAX alone, where it was followed to there and is not the same."""
    ends = [(hit.accuracy, hit.accuracy_alone) for hit in hits]
    apart = [abs(mine - alone) for mine, alone in ends if mine is not None and alone is not None]
    end = f"a loss of {_range([hit.end for hit in hits])} times that of JAX"
    said = [] if all(hit.within for hit in hits) else [end]
    if apart:
        said.append(f"an accuracy within {max(apart):.3f} of its" if max(apart) else "the same accuracy")
    return f"; ends with {' and '.join(said)}" if said else ""


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
