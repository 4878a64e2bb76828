"""The hit: by how much the loss rises above JAX's own where training is handed over, and how long that lasts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parity.records import HandoverCost


def hit(
    case: str, way: str, step: int, before: Sequence[float], alone: Sequence[float], losses: Sequence[float]
) -> HandoverCost:
    """The hit of a training.

    Args:
        case: what is trained.
        way: how it was handed over.
        step: the steps taken before the hand-over.
        before: the losses of the last epoch in JAX, before the hand-over.
        alone: those of JAX alone after it, by step.
        losses: those of the training that was handed over, on the same batches; as many or fewer.
    """
    epoch = len(before)
    level = sum(map(abs, before)) / epoch  # of their size: a log-likelihood may be negative
    excess = [_excess(mine, its, level) for mine, its in zip(losses, alone, strict=False)]
    height = max([0.0, *excess])
    means = [sum(excess[max(0, i - epoch) : i]) for i in range(1, len(excess) + 1)]
    after = excess.index(height) + 1 if height else 0
    last = max((i for i, mean in enumerate(means, 1) if mean > 0), default=0)
    last = max(last, after)  # a mean may hide the height itself
    tail = slice(max(0, len(excess) - epoch), len(excess))
    return HandoverCost(
        case=case,
        method=way,
        step=step,
        steps=len(excess),
        height=height,
        after=after,
        recovered_after=None if last == len(excess) else last,
        end=1 + _over(sum(losses[tail]) - sum(alone[tail]), abs(sum(alone[tail]))),
    )


def _excess(mine: float, its: float, level: float) -> float:
    if math.isfinite(mine - its):
        return _over(mine - its, level)
    return math.inf if math.isfinite(its) else 0.0  # NaN lies above whatever is a number


def _over(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.copysign(math.inf, part) if part else 0.0
