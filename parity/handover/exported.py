"""Export the Optax update as `train_step`, with the optimizer's state as variables, and write a hand-over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import tensorflow as tf

from parity.cases.case import Case
from parity.cases.functions import named
from parity.cases.pipeline import Pipeline
from parity.export import conversion as export
from parity.export.artifact import Wrap, graph, tensor_specs
from parity.export.conversion import Exported
from parity.handover import BATCH_STATS, CARRIED, GRADIENT, KEY, LEARNING_RATE, LOSS, MOMENTS, PARAMETERS, STEP
from parity.handover.files import Handover, digest, write
from parity.handover.train_state import Step, TrainState, stepping

EVALUATING = ("predict", "accuracy", "eval_loss")


class Trainable(Exported):
    """A module that trains by any Optax optimizer: `train_step` beside functions of `Exported`.

    Args:
        case: what to export.
        train_state: where its training is.
        step: its training step; see `train_state.stepping`.
        wrap: makes callables of the functions.
        only: the names of the functions beside `train_step`.

    Attributes:
        state_vars: parameters and other state, as in `Exported`.
        rng: the key, [2] uint32.
        optimizer_vars: the optimizer's state, in the order of its leaves.
        step: the count of steps taken, [] int32.
        train_step: takes one step on a batch, and returns its `loss` and `learning_rate`, [] float32, and the
            `gradient` of each parameter.
    """

    def __init__(
        self, case: Case, train_state: TrainState, step: Step, wrap: Wrap, only: tuple[str, ...] = EVALUATING
    ) -> None:  # fmt: skip
        super().__init__(case, train_state.state, wrap, only)
        if not hasattr(self, "rng"):
            self.rng = tf.Variable(train_state.state.rng, trainable=False, name="rng")
        leaves, self._optimizer_tree = jax.tree_util.tree_flatten(train_state.moments)
        self.optimizer_vars = [
            tf.Variable(value, trainable=False, name=export.variable_name(leaf))
            for leaf, value in zip(named(train_state.moments), leaves, strict=True)
        ]
        self.step = tf.Variable(train_state.step, trainable=False, name=STEP)
        self.train_step = wrap(self._train_step(case, step), [tensor_specs(case.data), tensor_specs(case.labels)])

    def _train_step(self, case: Case, step: Step) -> Callable[..., Any]:
        def flat(params: Any, other: Any, rng: Any, moments: Any, count: Any, data: Any, labels: Any) -> Any:
            found = step((params, other, rng), moments, count, data, labels)
            return {name: jax.tree_util.tree_leaves(tree) for name, tree in found.items()}

        shapes = ["...", "...", "...", "...", "...", self._shapes(case.data), self._shapes(case.labels)]
        constraints = self._constraints(case, case.data, case.labels)
        converted = export.convert(flat, shapes, gradient=False, constraints=constraints)

        def train_step(data: Any, labels: Any) -> dict[str, Any]:
            moments = jax.tree_util.tree_unflatten(self._optimizer_tree, self.optimizer_vars)
            found = converted(*self._trees(), self.rng, moments, self.step, data, labels)
            kept = [*found[PARAMETERS], *found[BATCH_STATS], *found[KEY], *found[MOMENTS], *found[STEP]]
            for variable, value in zip(
                [*self.state_vars, self.rng, *self.optimizer_vars, self.step], kept, strict=True
            ):
                variable.assign(value)
            return {LOSS: found[LOSS][0], LEARNING_RATE: found[LEARNING_RATE][0], GRADIENT: found[GRADIENT]}

        return train_step


def hand_over(
    case: Case,
    train_state: TrainState,
    pipeline: Pipeline,
    path: Path,
    artifact: Path | None = None,
    readable_by: str | None = None,
) -> Handover:
    """Write a hand-over into the new folder `path`, and return it.

    Args:
        case: the case.
        train_state: where its training is.
        pipeline: its batches.
        path: the folder.
        artifact: the SavedModel with `train_loss`, for a Keras optimizer; None if there is to be none.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.

    Raises:
        RuntimeFailureError: conversion or saving failed.
    """
    training = case.training
    epochs = range(training.epochs, training.epochs + training.epochs_after)
    handover = Handover(
        path, export.signature(case, train_state.state), training, int(train_state.step), pipeline.steps_per_epoch,
        tuple(named(train_state.moments)), tuple(digest(pipeline.epoch(epoch)) for epoch in epochs),
    )  # fmt: skip
    with export.exporting(
        f"the training step of case {case.name!r}",
        f"Expected an optimizer that JAX can trace; another can be handed over as {CARRIED!r} alone.",
        readable_by,
    ):
        module = Trainable(case, train_state, stepping(case, pipeline.steps_per_epoch), graph)
        export.save_module(module, case, handover.exported, gradients=False)
    if artifact is not None:
        shutil.copytree(artifact, handover.artifact)
    write(handover, named(train_state.moments), pipeline.examples)
    return handover
