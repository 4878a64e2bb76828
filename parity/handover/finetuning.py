"""The published workflow: train on in TensorFlow with a new Keras optimizer over the reloaded variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
import tensorflow as tf

from parity.cases.case import Training
from parity.cases.optimizers import Optimizer
from parity.cases.specs import Answer, Array
from parity.compat.causes import failed
from parity.core.cached import Cached
from parity.core.ledger import TRAINING
from parity.export import artifact
from parity.export import conversion as export
from parity.handover.counterparts import keras_optimizer, keras_schedule
from parity.handover.keras_loop import keras_loop
from parity.runtimes.subject import Subject

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""The defaults that Keras documents for Adam; declared here, so that an optimizer with others is found."""


@dataclass(frozen=True)
class FirstUpdate:
    """The first update in TensorFlow.

    Attributes:
        gradient: that was applied, by leaf of a parameter; without those that are not connected.
        before, after: the parameters by leaf.
        learning_rate: of the update.
        iterations: the optimizer's count before and after.
    """

    gradient: Answer
    before: Answer
    after: Answer
    learning_rate: float
    iterations: tuple[int, int]


def adam_powers(step: int) -> tuple[float, float]:
    """Return beta_1 and beta_2, as float32 stores them, to the power of `step`, which counts from 1."""
    one, two = (float(np.float32(beta)) ** step for beta in (BETA_1, BETA_2))
    return one, two


def adam_update(gradient: Array, learning_rate: float, step: int) -> Array:
    """Return what Keras' Adam subtracts from a parameter at `step` if its moments were zero, in float64.

    lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon): epsilon stands beside the biased sqrt(v),
    which is where Kingma and Ba (2015) put it in the version before section 2.1, and Optax does not.
    """
    wide = gradient.astype(np.float64)
    one, two = adam_powers(step)
    rate = learning_rate * np.sqrt(1 - two) / (1 - one)
    return np.asarray(rate * (1 - BETA_1) * wide / (np.sqrt((1 - BETA_2) * wide**2) + EPSILON))


@dataclass
class Finetuned:
    """What was recorded in TensorFlow.

    Attributes:
        step_loss, learning_rate: of every step.
        train_loss: the mean of `step_loss` over every epoch.
        eval_loss, accuracy: on the test set before the first step and after every epoch; NaN without an accuracy.
        steps: the final count of the optimizer.
        unmoved: the parameters that training left as they were, and that are not frozen.
        first: the first update; None where no step was taken.
    """

    step_loss: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    eval_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    steps: int = 0
    unmoved: list[str] = field(default_factory=list)
    first: FirstUpdate | None = None


def finetuned(subject: Subject) -> Finetuned:
    """Train a subject on in TensorFlow, once: later calls return the same object, or raise the same error.

    Args:
        subject: the trained, exported case.

    Raises:
        ParityError: the case cannot be exported, or TensorFlow cannot train the artifact.
    """
    return subject.shared(_outcome).get()


def _outcome(subject: Subject) -> Cached[Finetuned]:
    def train() -> Finetuned:
        with subject.ledger.spend(TRAINING):
            return finetune(subject, subject.trained.steps)

    return Cached(train)


def finetune(subject: Subject, steps: int) -> Finetuned:
    """Train on for `training.epochs_after` epochs.

    Args:
        subject: the trained, exported case.
        steps: optimizer steps taken in JAX; the schedule goes on from them.

    Raises:
        RuntimeFailureError: the artifact cannot be loaded, or cannot be trained.
    """
    training, batches, test = subject.case.training, subject.pipeline, subject.dataset.test
    state = export.state_leaves(subject.trained.state)
    module = artifact.load(subject.bundle / "saved_model")
    trainable = [v for v, s in zip(module.state_vars, state, strict=True) if s.trainable]
    names = [s.leaf for s in state if s.trainable]
    begin = _values(names, trainable)
    optimizer = restarted_optimizer(training, batches.steps_per_epoch)
    optimizer.build(trainable)
    optimizer.iterations.assign(steps)
    step = keras_loop(module, optimizer, trainable)
    has_accuracy = "accuracy" in subject.case.probes
    done, total = 0, training.epochs_after * batches.steps_per_epoch
    result = Finetuned(steps=steps)

    def evaluate() -> None:
        result.eval_loss.append(float(module.eval_loss(test.data, test.labels)))
        result.accuracy.append(float(module.accuracy(test.data, test.labels)) if has_accuracy else float("nan"))

    try:
        evaluate()
        for epoch in range(training.epochs, training.epochs + training.epochs_after):
            losses = []
            for batch in batches.epoch(epoch):
                result.learning_rate.append(float(optimizer.learning_rate))
                loss, _, gradients = step(batch.data, batch.labels)
                losses.append(float(loss))
                done += 1
                if result.first is None:
                    count = int(optimizer.iterations.numpy())
                    applied, after = _values(names, gradients), _values(names, trainable)
                    result.first = FirstUpdate(applied, begin, after, result.learning_rate[0], (steps, count))
                subject.progress(f"TensorFlow, epoch {epoch + 1}, loss {losses[-1]:.3f}", done, total)
            result.step_loss += losses
            result.train_loss.append(sum(losses) / len(losses))
            evaluate()
    except Exception as error:
        raise failed("TensorFlow cannot train the artifact", error) from error
    result.steps = int(optimizer.iterations.numpy())
    final = _values(names, trainable)
    frozen = subject.case.is_frozen
    result.unmoved = [name for name in names if (final[name] == begin[name]).all() and not frozen(name)]
    return result


def _values(names: list[str], tensors: list[Any]) -> Answer:
    """Return arrays by leaf name, without gradients that are not connected."""
    return {name: t.numpy() for name, t in zip(names, tensors, strict=True) if t is not None}


def restarted_optimizer(training: Training, steps_per_epoch: int) -> Any:
    """Return a new Keras optimizer: for Adam Keras' own, as in the published workflow; else one that does the same.

    Raises:
        CaseError: Keras has none that does the same.
    """
    if not published(training):
        return keras_optimizer(training, steps_per_epoch)
    return tf.keras.optimizers.Adam(keras_schedule(training, steps_per_epoch))


def published(training: Training) -> bool:
    """Return whether the optimizer is Adam with its defaults, as in the published workflow; the schedule may differ."""
    return training.optimizer == Optimizer()
