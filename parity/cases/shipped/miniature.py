"""The reference case in miniature: its layers and all probes, so small that its bundles can be kept for years.

Its exports by past releases of jax are what `fixtures/bundles` holds.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from parity.cases.case import Case, Training
from parity.cases.data import small_digits
from parity.cases.specs import Spec


class Network(nn.Module):
    """Images [b, 8, 8, 1] float32 to logits [b, 10] float32."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Return the logits; with `train`, batch statistics are used and updated, and dropout is on."""
        x = nn.Conv(features=4, kernel_size=(3, 3), strides=2, padding="SAME", use_bias=False)(images)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, use_scale=False)(x)
        x = nn.relu(x).reshape((x.shape[0], -1))
        x = nn.Dense(features=12)(x)
        x = nn.Dropout(rate=0.1, deterministic=not train)(nn.relu(x))
        return nn.Dense(features=10)(x)


network = Network()


def init(rng: Any) -> tuple[Any, Any]:
    """Return parameters, and `{"batch_stats": ...}`."""
    variables = dict(network.init(rng, jnp.zeros((1, 8, 8, 1)), train=False))
    params = variables.pop("params")
    return params, variables


def loss(params: Any, other_state: Any, rng: Any, images: Any, labels: Any, train: bool) -> tuple[Any, Any]:
    """Return the mean softmax cross-entropy, [] float32, and the updated batch statistics."""
    logits, updated = network.apply(
        {"params": params, **other_state}, images, train=train, rngs={"dropout": rng}, mutable=["batch_stats"]
    )
    return optax.softmax_cross_entropy(logits, labels).mean(), updated


def predict(state: Any, images: Any) -> Any:
    """Return log-probabilities, [b, 10] float32, with dropout off and running statistics."""
    params, other_state = state
    return jax.nn.log_softmax(network.apply({"params": params, **other_state}, images, train=False))


def accuracy(state: Any, images: Any, labels: Any) -> Any:
    """Return the share of images whose most probable class is the label, [] float32."""
    hits = jnp.argmax(predict(state, images), axis=-1) == jnp.argmax(labels, axis=-1)
    return jnp.mean(hits.astype(jnp.float32))


case = Case(
    name="miniature",
    init=init,
    loss=loss,
    predict=predict,
    accuracy=accuracy,
    data=Spec("b", 8, 8, 1),
    labels=Spec("b", 10),
    dataset=small_digits,
    training=Training(epochs=4, epochs_after=2, batch_size=32, learning_rate=0.02),
)
