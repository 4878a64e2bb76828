"""The steps as converted, before they are saved; and the SavedModel that other runtimes read."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from parity.cases.case import Case
from parity.cases.loading import load
from parity.export import artifact
from parity.export import conversion as export
from parity.export.artifact import Wrap, tensor_specs
from parity.handover.exported import Trainable
from parity.handover.train_state import Step, TrainState, stepping
from parity.latency import in_jax, in_tensorflow
from parity.latency.workload import Workload


class Timeable(Trainable):
    """A module of everything that is timed: `predict`, `eval_loss`, `train_loss`, `train_step`; they share variables.

    Args:
        case, train_state, step, wrap: as of `Trainable`.
    """

    def __init__(self, case: Case, train_state: TrainState, step: Step, wrap: Wrap) -> None:
        super().__init__(case, train_state, step, wrap)
        specs: list[Any] = [tensor_specs(case.data), tensor_specs(case.labels)]
        self.train_loss = wrap(self._loss(case, train=True), specs)


def save(case: Case, train_state: TrainState, workload: Workload) -> None:
    """Write the SavedModel of `workload`.

    Raises:
        Exception: conversion or saving failed, in one of many ways.
    """
    with export.remedied(workload.readable_by):
        module = Timeable(case, train_state, stepping(case, workload.steps_per_epoch), artifact.graph)
        export.save_module(module, case, workload.saved_model, gradients=True)


def _open(workload: Workload, device: str, wrap: Wrap) -> in_tensorflow.Steps:
    """Return the steps, each wrapped.

    Raises:
        CaseError: there is no such case.
    """
    contexts = ExitStack()
    contexts.enter_context(in_tensorflow.on_device(device))
    contexts.enter_context(export.remedied(workload.readable_by))  # until the end: calls convert
    case = load(workload.case)
    train_state = in_jax.train_state(case, workload)
    module = Timeable(case, train_state, stepping(case, workload.steps_per_epoch), wrap)
    return in_tensorflow.Steps(module, workload.signature, wrap, device, contexts)


open_graph = partial(_open, wrap=artifact.graph)
open_xla = partial(_open, wrap=artifact.xla)
