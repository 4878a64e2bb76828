"""The steps as converted, before they are saved; and the SavedModel that other runtimes read."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from functools import partial

from parity.cases.case import Case
from parity.cases.loading import load
from parity.export import artifact
from parity.export import conversion as export
from parity.export.artifact import Wrap
from parity.handover.exported import Trainable
from parity.handover.train_state import TrainState, stepping
from parity.latency import EVAL, FORWARD_BACKWARD, PREDICT, in_jax, in_tensorflow
from parity.latency.workload import Workload

FUNCTIONS = {PREDICT: "predict", EVAL: "eval_loss", FORWARD_BACKWARD: "train_loss"}
"""The functions of a module that steps call, beside its `train_step`."""


def save(case: Case, train_state: TrainState, workload: Workload, timed: Collection[str]) -> None:
    """Write the SavedModel of `workload`, with the functions of the `timed` steps.

    Raises:
        Exception: conversion or saving failed, in one of many ways.
    """
    with export.remedied(workload.readable_by):
        module = _module(case, train_state, workload, artifact.graph, [PREDICT, *timed])
        export.save_module(module, case, workload.saved_model, gradients=FORWARD_BACKWARD in timed)


def _module(
    case: Case, train_state: TrainState, workload: Workload, wrap: Wrap, timed: Collection[str] = tuple(FUNCTIONS)
) -> Trainable:
    only = tuple(function for step, function in FUNCTIONS.items() if step in timed)
    return Trainable(case, train_state, stepping(case, workload.steps_per_epoch), wrap, only)


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
    module = _module(case, train_state, workload, wrap)
    return in_tensorflow.Steps(module, workload.signature, wrap, device, contexts)


open_graph = partial(_open, wrap=artifact.graph)
open_xla = partial(_open, wrap=artifact.xla)
