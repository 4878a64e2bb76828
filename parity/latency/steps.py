"""What a worker asks of the framework that it times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from parity.cases.specs import Batch, outputs
from parity.latency import PREDICT

LOSS, GRADIENT, MOVED = "loss", "gradient", "moved"
"""Scalars of a step; see `Steps.scalars`."""
Inputs = tuple[Any, ...]
"""What a step takes beside the state: data, and labels but for `predict`; on the device."""


def inputs(step: str, batch: Batch) -> Inputs:
    """What `step` takes of a batch."""
    return (batch.data,) if step == PREDICT else (batch.data, batch.labels)


class Steps(ABC):
    """The steps of a trained case on one framework; the next begins with the state that the one before has left."""

    @abstractmethod
    def put(self, arrays: Inputs) -> Inputs:
        """`arrays`, numpy's, on the device, when they are there."""

    @abstractmethod
    def compile(self, step: str, inputs: Inputs) -> None:
        """Do what can be done before the first call."""

    @abstractmethod
    def call(self, step: str, inputs: Inputs) -> Any:
        """What `step` returns, when all of it has been computed."""

    def scalars(self, step: str, result: Any) -> dict[str, float]:
        """What tells a step from another.

        Of predictions a weighted sum of their sizes for each output; else the loss, the size of the gradient, and how
        far the state is from where training had arrived.
        """
        if step == PREDICT:
            return {f"predicted {name}": _weighted(np.asarray(found)) for name, found in outputs(result).items()}
        loss, gradient = self.answer(step, result)
        now, begun = self.state()
        moved = _size(_wide(a) - _wide(b) for a, b in zip(now, begun, strict=True))
        return {LOSS: float(loss), GRADIENT: _size(gradient), MOVED: moved}

    @abstractmethod
    def answer(self, step: str, result: Any) -> tuple[Any, list[Any]]:
        """The loss, and the leaves of the gradient, of which evaluation has none."""

    @abstractmethod
    def state(self) -> tuple[list[Any], list[Any]]:
        """The leaves of parameters and other state, as they are now and as training had arrived at them."""

    @abstractmethod
    def reset(self) -> None:
        """Put back the state that training had arrived at."""


def _wide(array: Any) -> Any:
    return np.asarray(array).astype(np.float64)


def _size(arrays: Iterable[Any]) -> float:
    """The sum of the sizes of all elements."""
    return float(sum(np.abs(_wide(array)).sum() for array in arrays))


def _weighted(array: Any) -> float:
    """With a weight for each element, the same in every process, since all probabilities have one and the same sum."""
    return float(np.abs(_wide(array)).ravel() @ np.random.default_rng(0).random(array.size))
