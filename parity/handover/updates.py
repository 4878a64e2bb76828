"""Keras optimizers that update as Optax's do, by Optax's formulas and in its order of operations.

Keras' own optimizers of the same names differ: its Adam adds epsilon to the biased sqrt(v), its SGD folds the learning
rate into the momentum, and all keep moments in the dtype of the parameter, however narrow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf


def wide(dtype: Any) -> tf.DType:
    """Return the dtype, or float32 where that is wider."""
    found = tf.as_dtype(dtype)
    return tf.float32 if found.is_floating and found.size < 4 else found


class Counterpart:
    """Mix-in before a Keras optimizer: slots of at least float32, and Optax's update.

    Attributes:
        moments: Keras' attribute that holds the slots, by Optax's name of the moment.
    """

    moments: ClassVar[Mapping[str, str]]

    def __init__(self, *args: Any, decoupled_decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decoupled_decay = decoupled_decay

    def direction(self, gradient: Any, step: Any, *moments: Any) -> tuple[Any, ...]:
        """Return what the learning rate scales, then the new moments, ordered as `moments`; `step` counts from 1."""
        raise NotImplementedError

    def slots(self, variable: Any) -> dict[str, Any]:
        """Return the slots of a parameter, by Optax's name of the moment."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        return {name: getattr(self, slots)[index] for name, slots in self.moments.items() if getattr(self, slots)}

    def add_variable_from_reference(self, reference_variable: Any, name: Any = None, initializer: Any = "zeros") -> Any:
        """Return a new slot for the parameter, of at least float32."""
        dtype = wide(reference_variable.dtype)
        if dtype == tf.as_dtype(reference_variable.dtype):
            return super().add_variable_from_reference(reference_variable, name, initializer)  # type: ignore[misc]
        return self.add_variable(  # type: ignore[attr-defined]
            shape=reference_variable.shape, initializer=initializer, dtype=dtype.name, name=name
        )

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the parameters; widen gradients before they are clipped."""
        grads = [g if g is None else tf.cast(tf.convert_to_tensor(g), wide(g.dtype)) for g in grads]
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Assign parameter - rate * (direction + decay * parameter), rounded once to the parameter's dtype."""
        dtype = wide(variable.dtype)
        gradient, before = tf.cast(gradient, dtype), tf.cast(tf.convert_to_tensor(variable), dtype)
        slots = self.slots(variable)
        step = tf.cast(self.iterations + 1, dtype)  # type: ignore[attr-defined]
        direction, *moments = self.direction(gradient, step, *(tf.convert_to_tensor(slot) for slot in slots.values()))
        for slot, moment in zip(slots.values(), moments, strict=True):
            self.assign(slot, moment)  # type: ignore[attr-defined]
        if self.decoupled_decay:
            direction += self.decoupled_decay * before
        self.assign(variable, before - tf.cast(learning_rate, dtype) * direction)  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """Return Keras' own options and the decoupled weight decay."""
        return {**super().get_config(), "decoupled_decay": self.decoupled_decay}  # type: ignore[misc]


@keras.saving.register_keras_serializable("parity")
class SGD(Counterpart, keras.optimizers.SGD):
    """Keras' SGD with Optax's trace as its momentum: `t = g + decay * t`, which no learning rate has scaled.

    Keras' `m = decay * m - lr * g` is the same as long as the rate is constant.
    """

    moments: ClassVar = {"trace": "momentums"}

    def direction(self, gradient: Any, step: Any, *moments: Any) -> tuple[Any, ...]:
        """Return the trace; decayed once more and with the gradient added if `nesterov` (`optax.trace`)."""
        if not moments:
            return (gradient,)
        trace = gradient + self.momentum * moments[0]
        return (gradient + self.momentum * trace if self.nesterov else trace), trace


@keras.saving.register_keras_serializable("parity")
class Adam(Counterpart, keras.optimizers.Adam):
    """Keras' Adam with Optax's epsilon: m_hat / (sqrt(v_hat) + epsilon), Algorithm 1 of Kingma and Ba (2015).

    Keras has sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon); with `epsilon * sqrt(1 - beta_2**t)` in
    the place of epsilon that is the same.
    """

    moments: ClassVar = {"mu": "_momentums", "nu": "_velocities"}

    def direction(self, gradient: Any, step: Any, *moments: Any) -> tuple[Any, ...]:
        """Return the corrected mean over the root of the corrected mean square (`optax.scale_by_adam`)."""
        mu = (1 - self.beta_1) * gradient + self.beta_1 * moments[0]
        nu = (1 - self.beta_2) * gradient**2 + self.beta_2 * moments[1]
        mean, square = mu / (1 - self.beta_1**step), nu / (1 - self.beta_2**step)
        return mean / (tf.sqrt(square) + self.epsilon), mu, nu


@keras.saving.register_keras_serializable("parity")
class Lion(Counterpart, keras.optimizers.Lion):
    """Keras' Lion."""

    moments: ClassVar = {"mu": "_momentums"}

    def direction(self, gradient: Any, step: Any, *moments: Any) -> tuple[Any, ...]:
        """Return the sign of one mean, and another mean to keep (`optax.scale_by_lion`)."""
        kept = (1 - self.beta_2) * gradient + self.beta_2 * moments[0]
        return tf.sign((1 - self.beta_1) * gradient + self.beta_1 * moments[0]), kept
