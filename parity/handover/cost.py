"""The cost of a hand-over: how far the loss rises above that of JAX alone, and for how long."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parity.records import HandoverCost


def handover_cost(
    case: str, method: str, step: int, before: Sequence[float], alone: Sequence[float], losses: Sequence[float]
) -> HandoverCost:
    """Return the cost of a training that was handed over.

    Args:
        case: the name of the case.
        method: how it was handed over.
        step: the steps taken before the hand-over.
        before: the losses of the last epoch in JAX, before the hand-over.
        alone: those of JAX alone after it, by step.
        losses: those of the training that was handed over, on the same batches; as many or fewer.
    """
    epoch = len(before)
    level = sum(map(abs, before)) / epoch  # absolute: a log-likelihood may be negative
    excess = [_excess(own, jax, level) for own, jax in zip(losses, alone, strict=False)]
    height = max([0.0, *excess])
    sums = [sum(excess[max(0, i - epoch) : i]) for i in range(1, len(excess) + 1)]
    after = excess.index(height) + 1 if height else 0
    last = max((i for i, total in enumerate(sums, 1) if total > 0), default=0)
    last = max(last, after)  # a mean over an epoch may hide the height itself
    tail = slice(max(0, len(excess) - epoch), len(excess))
    return HandoverCost(
        case=case,
        method=method,
        step=step,
        steps=len(excess),
        height=height,
        after=after,
        recovered_after=None if last == len(excess) else last,
        end=1 + _over(sum(losses[tail]) - sum(alone[tail]), abs(sum(alone[tail]))),
    )


def _excess(own: float, jax: float, level: float) -> float:
    if math.isfinite(own - jax):
        return _over(own - jax, level)
    return math.inf if math.isfinite(jax) else 0.0  # NaN counts as above every number


def _over(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.copysign(math.inf, part) if part else 0.0
