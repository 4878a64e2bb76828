"""Training goes on in TensorFlow: Keras' Adam and schedule over the reloaded variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import tensorflow as tf

from parity import artifact
from parity.bundles import Signature
from parity.case import Training
from parity.errors import RuntimeFailureError
from parity.progress import Report, silent
from parity.specs import Batch


class Batches(Protocol):
    """The input pipeline; see `parity.pipeline.Pipeline`."""

    steps_per_epoch: int

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch."""


@dataclass
class Finetuned:
    """What was recorded in TensorFlow, per step and per epoch as in `training.Metrics`.

    `steps` is the final count of the optimiser, `unmoved` names the parameters that training left as they were.

    `eval_loss` and `accuracy` have one entry more than there were epochs: the first is from before the first step.
    """

    step_loss: list[float]
    train_loss: list[float]
    eval_loss: list[float]
    accuracy: list[float]
    learning_rate: list[float]
    steps: int
    unmoved: list[str]


def keras_schedule(training: Training, steps_per_epoch: int) -> Any:
    """The same learning rate by step as `training.schedule`, as a Keras schedule."""
    return tf.keras.optimizers.schedules.ExponentialDecay(
        training.learning_rate, decay_steps=steps_per_epoch, decay_rate=training.decay, staircase=True
    )


def finetune(
    bundle: Path,
    signature: Signature,
    training: Training,
    steps: int,
    batches: Batches,
    test: Batch,
    progress: Report = silent,
) -> Finetuned:
    """Go on for `training.epochs_after` epochs.

    Args:
        bundle: the exported case.
        signature: its signature.
        training: how it was trained in JAX.
        steps: optimiser steps taken there; the schedule goes on from them.
        batches: the same input pipeline.
        test: the whole test set, one batch.
        progress: called after every step.

    Raises:
        RuntimeFailureError: the artifact cannot be loaded, or cannot be trained.
    """
    module = artifact.load(bundle / "saved_model")
    trainable = [v for v, s in zip(module.state_vars, signature.state, strict=True) if s.trainable]
    begin = [v.numpy() for v in trainable]
    optimizer = tf.keras.optimizers.Adam(keras_schedule(training, batches.steps_per_epoch))
    optimizer.build(trainable)
    optimizer.iterations.assign(steps)
    step = _train_step(module, optimizer, trainable)
    has_accuracy = "accuracy" in signature.probes
    done, total = 0, training.epochs_after * batches.steps_per_epoch
    result = Finetuned([], [], [], [], [], steps, [])

    def evaluate() -> None:
        result.eval_loss.append(float(module.eval_loss(test.data, test.labels)))
        result.accuracy.append(float(module.accuracy(test.data, test.labels)) if has_accuracy else float("nan"))

    try:
        evaluate()
        for epoch in range(training.epochs, training.epochs + training.epochs_after):
            losses = []
            for batch in batches.epoch(epoch):
                result.learning_rate.append(float(optimizer.learning_rate))
                losses.append(float(step(batch.data, batch.labels)))
                done += 1
                progress(f"TensorFlow, epoch {epoch + 1}, loss {losses[-1]:.3f}", done, total)
            result.step_loss += losses
            result.train_loss.append(sum(losses) / len(losses))
            evaluate()
    except Exception as error:
        raise RuntimeFailureError(f"TensorFlow cannot train the artifact: {type(error).__name__}: {error}") from error
    result.steps = int(optimizer.iterations.numpy())
    names = [s.leaf for s in signature.state if s.trainable]
    final = zip(names, begin, trainable, strict=True)
    result.unmoved = [name for name, value, variable in final if (variable.numpy() == value).all()]
    return result


def _train_step(module: Any, optimizer: Any, trainable: list[Any]) -> Callable[..., Any]:
    @tf.function(autograph=False, reduce_retracing=True)
    def step(data: Any, labels: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trainable)
            loss = module.train_loss(data, labels)
        optimizer.apply_gradients(zip(tape.gradient(loss, trainable), trainable, strict=True))
        return loss

    return step
