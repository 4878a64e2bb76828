"""The interface between a worker and the framework that it times."""

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
"""Arguments of a step beside the state, on the device: data, and labels except for `predict`."""


def inputs(step: str, batch: Batch) -> Inputs:
    """Return the arguments of `step` from a batch."""
    return (batch.data,) if step == PREDICT else (batch.data, batch.labels)


class Steps(ABC):
    """The steps of a trained case in one framework; each starts from the state that the one before it left."""

    @abstractmethod
    def put(self, arrays: Inputs) -> Inputs:
        """Copy numpy arrays to the device, wait, and return them."""

    @abstractmethod
    def compile(self, step: str, inputs: Inputs) -> None:
        """Do what can be done before the first call."""

    @abstractmethod
    def call(self, step: str, inputs: Inputs) -> Any:
        """Take `step` on prepared inputs; return its result when all of it has been computed."""

    def scalars(self, step: str, result: Any) -> dict[str, float]:
        """Return numbers that identify the program of a step.

        For predictions a weighted sum of their sizes, by output; else the loss, the size of the gradient, and the
        distance of the state from where training had arrived. Sizes and distances are L1 norms in float64.
        """
        if step == PREDICT:
            return {
                f"predicted {name}": _weighted(np.asarray(found)) for name, found in sorted(outputs(result).items())
            }
        loss, gradient = self.answer(step, result)
        now, begun = self.state()
        moved = _size(_wide(a) - _wide(b) for a, b in zip(now, begun, strict=True))
        return {LOSS: float(loss), GRADIENT: _size(gradient), MOVED: moved}

    @abstractmethod
    def answer(self, step: str, result: Any) -> tuple[Any, list[Any]]:
        """Return the loss, and the leaves of the gradient; evaluation has none."""

    @abstractmethod
    def state(self) -> tuple[list[Any], list[Any]]:
        """Return the leaves of parameters and other state, now and where training had arrived."""

    @abstractmethod
    def reset(self) -> None:
        """Restore the state that training had arrived at."""

    def close(self) -> None:
        """Release what the steps hold."""


def _wide(array: Any) -> Any:
    array = np.asarray(array)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _size(arrays: Iterable[Any]) -> float:
    """Return the sum of the magnitudes of all elements."""
    return float(sum(np.abs(_wide(array)).sum() for array in arrays))


def _weighted(array: Any) -> float:
    """Weigh the elements, alike in every process: without weights the sum of probabilities would always be the same.

    What is not finite counts as a number: infinity in some elements would make all sums alike.
    """
    sizes = np.abs(_wide(array)).ravel()
    sizes = np.where(np.isnan(sizes), 2.0, np.where(np.isinf(sizes), 1.0, sizes))
    return float(sizes @ np.random.default_rng(0).random(array.size))
