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
from parity.latency.subject import Timed


class Timeable(Trainable):
    """All that is timed: `predict`, `eval_loss`, `train_loss` and `train_step` over the same variables."""

    def __init__(self, case: Case, point: Point, step: Step, wrap: Wrap) -> None:
        super().__init__(case, point, step, wrap)
        specs: list[Any] = [tensor_specs(case.data), tensor_specs(case.labels)]
        self.train_loss = wrap(self._loss(case, train=True), specs)


def save(case: Case, point: Point, timed: Timed) -> None:
    """Write the SavedModel of `timed`.

    Raises:
        Exception: conversion or saving failed, in one of many ways.
    """
    with export.remedied(timed.readable_by):
        module = Timeable(case, point, stepping(case, timed.steps_per_epoch), artifact.graph)
        export.save_module(module, case, timed.saved_model, gradients=True)


def steps(timed: Timed, wrap: Wrap, on: str) -> in_tensorflow.Steps:
    """The steps of the module as converted, its functions wrapped in that way.

    Raises:
        CaseError: there is no such case.
    """
    case = load(timed.case)
    module = Timeable(case, in_jax.point(case, timed), stepping(case, timed.steps_per_epoch), wrap)
    return in_tensorflow.Steps(module, timed.signature, wrap, on)
