"""Faults in training that goes on in TensorFlow, and in the accuracy that is watched meanwhile."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import tensorflow as tf

from parity.handover import finetuning
from parity.studies.faults import Fault, Plant
from parity.studies.faults.plants import accuracy, grouped, patched

OPTIMISER = tf.keras.optimizers
ONGOING = ("finetuning",)
BINS = 8.0
"""To multiples of which log-probabilities are rounded, so that classes tie."""


class _Shifted(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule asked about another step than the one it is at."""

    def __init__(self, original: Any, steps: int) -> None:
        super().__init__()
        self._original, self._steps = original, steps

    def __call__(self, step: Any) -> Any:
        return self._original(step + self._steps)


def _late(original: Any) -> Any:
    return lambda *arguments: _Shifted(original(*arguments), -1)


def _smooth(original: Any) -> Any:
    return lambda training, steps: OPTIMISER.schedules.ExponentialDecay(
        training.learning_rate, decay_steps=steps, decay_rate=training.decay, staircase=False
    )


def _restarted(original: Any) -> Any:
    def finetune(subject: Any, steps: int) -> Any:
        return original(subject, 0)

    return finetune


def _without_last(original: Any) -> Any:
    class Forgetful(original):  # type: ignore[misc]
        def apply_gradients(self, pairs: Any, **options: Any) -> Any:
            return super().apply_gradients(list(pairs)[:-1], **options)

    return Forgetful


def _adam(**changed: Any) -> Plant:
    return patched((OPTIMISER, "Adam", lambda original: lambda rate: original(rate, **changed)))


def _last_of_ties(original: Any, state: Any, data: Any, labels: Any) -> Any:
    """Choose the last class among those whose log-probabilities are equal when rounded, instead of the first.

    Rounded, because those of the reference never tie exactly: what is caught is both.
    """
    coarse = jnp.round(original.predict(state, data) / BINS)
    last = coarse.shape[1] - 1 - jnp.argmax(coarse[:, ::-1], axis=-1)
    return jnp.mean((last == jnp.argmax(labels, axis=-1)).astype(jnp.float32))


def _top_two(original: Any, state: Any, data: Any, labels: Any) -> Any:
    scores = original.predict(state, data)
    better = jnp.sum(scores > jnp.sum(scores * labels, axis=-1, keepdims=True), axis=-1)
    return jnp.mean((better < 2).astype(jnp.float32))


def _one_more(original: Any, state: Any, data: Any, labels: Any) -> Any:
    return original.accuracy(state, data, labels) - 1 / jnp.float32(data.shape[0])


FAULTS = grouped(
    "training",
    Fault(
        "schedule off by one step", "finetuning.keras_schedule", patched((finetuning, "keras_schedule", _late)), ONGOING
    ),
    Fault(
        "learning rate decayed at every step", "finetuning.keras_schedule",
        patched((finetuning, "keras_schedule", _smooth)), ONGOING,
    ),
    Fault("schedule begun anew", "finetuning.finetune", patched((finetuning, "finetune", _restarted)), ONGOING),
    Fault(
        "one tensor left out of the update", "keras.optimizers.Adam",
        patched((OPTIMISER, "Adam", _without_last)), ONGOING,
    ),
    Fault("optimiser epsilon 1e-3 for 1e-7", "keras.optimizers.Adam", _adam(epsilon=1e-3), ONGOING),
    Fault("second moment decayed by 0.99 for 0.999", "keras.optimizers.Adam", _adam(beta_2=0.99), ONGOING),
    Fault("coarse scores tie, the last class counts", "the case's accuracy", accuracy(_last_of_ties), ("accuracy",)),
    Fault("the second best class counts as well", "the case's accuracy", accuracy(_top_two), ("accuracy",)),
    Fault("one example miscounted", "the case's accuracy", accuracy(_one_more), ("accuracy",), quick=True),
)  # fmt: skip
