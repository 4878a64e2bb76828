"""What the runtimes that ask the exported module before it is saved share."""

from typing import Any

from parity.cases.specs import Answer, Batch
from parity.export import conversion as export
from parity.runtimes._tensorflow import TensorFlowRuntime


class ConvertedRuntime(TensorFlowRuntime):
    """`parity.export.conversion.Exported`, its functions wrapped as the subclass says."""

    def module(self) -> Any:
        """The exported module, before it is saved."""
        case, state = self.model.require_case()
        return export.Exported(case, state, type(self).wrap)

    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers, converted under the subject's remedy: conversion happens when a function is first called."""
        with export.remedied(self.model.readable_by):
            return super().compute(evaluation, batch, device)
