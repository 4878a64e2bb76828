"""What a worker asks of the framework that it times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from parity.latency import PREDICT
from parity.specs import Batch

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

    @abstractmethod
    def scalar(self, step: str, result: Any) -> float:
        """The loss; of predictions, the sum of their sizes."""

    @abstractmethod
    def reset(self) -> None:
        """Put back the state that training had arrived at."""
