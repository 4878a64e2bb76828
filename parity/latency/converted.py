"""The steps as converted, before they are saved; and what is saved."""

from __future__ import annotations

from typing import Any

from parity.cases.case import Case, load
from parity.export import artifact
from parity.export import conversion as export
from parity.export.artifact import Wrap, tensor_specs
from parity.handover.course import Point, Step, stepping
from parity.handover.exported import Trainable
from parity.latency import in_jax, in_tensorflow
from parity.latency.workload import Workload


class Timeable(Trainable):
    """All that is workload: `predict`, `eval_loss`, `train_loss` and `train_step` over the same variables."""

    def __init__(self, case: Case, point: Point, step: Step, wrap: Wrap) -> None:
        super().__init__(case, point, step, wrap)
        specs: list[Any] = [tensor_specs(case.data), tensor_specs(case.labels)]
        self.train_loss = wrap(self._loss(case, train=True), specs)


def save(case: Case, point: Point, workload: Workload) -> None:
    """Write the SavedModel of `workload`.

    Raises:
        Exception: conversion or saving failed, in one of many ways.
    """
    with export.remedied(workload.readable_by):
        module = Timeable(case, point, stepping(case, workload.steps_per_epoch), artifact.graph)
        export.save_module(module, case, workload.saved_model, gradients=True)


def steps(workload: Workload, wrap: Wrap, on: str) -> in_tensorflow.Steps:
    """The steps of the module as converted, its functions wrapped in that way.

    Raises:
        CaseError: there is no such case.
    """
    case = load(workload.case)
    module = Timeable(case, in_jax.point(case, workload), stepping(case, workload.steps_per_epoch), wrap)
    return in_tensorflow.Steps(module, workload.signature, wrap, on)
