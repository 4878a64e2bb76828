"""The hit: by how much the loss rises above JAX's own where training is handed over, and how long that lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """What a hand-over costs.

    Attributes:
        height: the most that the loss of a step lies above that of JAX alone on the same batch, relative to `before`.
        after: steps after the hand-over at which that is; 0 where it never lies above.
        recovered_after: steps after the hand-over from which on the mean over an epoch lies above JAX's no more;
            None if it still does at the end, 0 if it never did.
        before: the mean loss of the last epoch before the hand-over.
        end: the loss of the last epoch, relative to that of JAX alone: above 1 it is behind, below 1 ahead.
    """

    height: float
    after: int
    recovered_after: int | None
    before: float
    end: float


def hit(before: Sequence[float], alone: Sequence[float], losses: Sequence[float]) -> Hit:
    """The hit of a training.

    Args:
        before: the losses of the last epoch in JAX, before the hand-over.
        alone: those of JAX alone after it, by step.
        losses: those of the training that was handed over, on the same batches.
    """
    level, epoch = sum(before) / len(before), len(before)
    excess = [(mine - its) / level for mine, its in zip(losses, alone, strict=False)]
    height = max(0.0, *excess)
    means = [sum(excess[max(0, i - epoch) : i]) for i in range(1, len(excess) + 1)]
    behind = [step for step, mean in enumerate(means, 1) if mean > 0]
    last = behind[-1] if behind else 0
    tail = slice(max(0, len(excess) - epoch), len(excess))
    return Hit(
        height=height,
        after=excess.index(height) + 1 if height else 0,
        recovered_after=None if last == len(excess) else last,
        before=level,
        end=sum(losses[tail]) / sum(alone[tail]),
    )
