"""The usual training step of Keras over the variables of a reloaded artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def keras_loop(
    module: Any,
    optimizer: Any,
    trainable: list[Any],
    unconnected: tf.UnconnectedGradients = tf.UnconnectedGradients.NONE,
) -> Callable[[Any, Any], tuple[Any, Any, list[Any]]]:
    """Return a function of data and labels that takes a step; it returns the loss, learning rate and gradients.

    Args:
        module: has `train_loss`.
        optimizer: of Keras, built for `trainable`.
        trainable: the parameters.
        unconnected: the gradient of a parameter that the loss does not depend on.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def step(data: Any, labels: Any) -> tuple[Any, Any, list[Any]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trainable)
            loss = module.train_loss(data, labels)
        gradients = tape.gradient(loss, trainable, unconnected_gradients=unconnected)
        rate = tf.identity(optimizer.learning_rate)
        optimizer.apply_gradients(zip(gradients, trainable, strict=True))
        return loss, rate, gradients

    return step
