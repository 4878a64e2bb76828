"""What the runtimes of converted functions share: the functions, as `jax2tf` converts them, before they are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parity.runtimes._tensorflow import TensorFlowRuntime
from parity.runtimes.base import CASE, GRAPH, Answers, Capabilities, Values

if TYPE_CHECKING:
    from parity.cases.specs import Batch


class ConvertedRuntime(TensorFlowRuntime):
    """Answer from the converted functions, before they are saved, run in the mode that the subclass declares."""

    def module(self) -> Any:
        """Return the exported module, before it is saved."""
        from parity.export import artifact, conversion

        case, state = self.model.require_case()
        return conversion.Exported(case, state, artifact.WRAPS[self.capabilities.mode or GRAPH])

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers, converted under the model's remedy: conversion happens at the first call of a function."""
        from parity.export import conversion

        with conversion.remedied(self.model.readable_by):
            return super().compute(evaluation, batch, device)

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return the same from the state `values`."""
        from parity.export import conversion

        with conversion.remedied(self.model.readable_by):
            return super().compute_at(values, evaluation, batch, device)


def converted(mode: str, timing_worker: str | None) -> Capabilities:
    """Return the capabilities of converted functions that run in `mode`."""
    return Capabilities(
        source=CASE, further_devices=True, any_state=True, variables=True, mode=mode, requires=("jax", "tensorflow"),
        timing_worker=timing_worker,
    )  # fmt: skip
