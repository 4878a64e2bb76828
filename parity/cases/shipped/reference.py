"""The reference case: a small convolutional network with batch normalisation and dropout, on handwritten digits.

It is the model of the published workflow "train in JAX, bring it to TensorFlow with jax2tf, go on training there".
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from parity.cases.case import Case
from parity.cases.data import digits
from parity.cases.specs import Spec


class Network(nn.Module):
    """Images [b, 28, 28, 1] float32 to logits [b, 10] float32.

    Attributes:
        channels: of the convolution.
        strides: of the convolution, along both axes of an image.
    """

    channels: int = 12
    strides: int = 1

    @nn.compact
    def __call__(self, images: jax.Array, train: bool, head: bool = True) -> jax.Array:
        """Return the logits; with `train`, batch statistics are used and updated, and dropout is on.

        Without `head`, the input of the last layer, [b, 200] float32.
        """

        def batch_norm() -> nn.Module:
            return nn.BatchNorm(use_running_average=not train, use_bias=True, use_scale=False)

        x = nn.Conv(self.channels, kernel_size=(3, 3), strides=self.strides, padding="SAME", use_bias=False)(images)
        x = batch_norm()(x)
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=200)(x)
        x = batch_norm()(x)
        x = nn.Dropout(rate=0.3, deterministic=not train)(x)
        x = nn.relu(x)
        return nn.Dense(features=10)(x) if head else x


network = Network()


def init(rng: Any) -> tuple[Any, Any]:
    """Return parameters, and `{"batch_stats": ...}`."""
    variables = dict(network.init(rng, jnp.zeros((1, 28, 28, 1)), train=False))
    params = variables.pop("params")
    return params, variables


def loss(params: Any, other_state: Any, rng: Any, images: Any, labels: Any, train: bool) -> tuple[Any, Any]:
    """Return the mean softmax cross-entropy, [] float32, and the updated batch statistics."""
    logits, updated = network.apply(
        {"params": params, **other_state}, images, train=train, rngs={"dropout": rng}, mutable=["batch_stats"]
    )
    return optax.softmax_cross_entropy(logits, labels).mean(), updated


def trunk(params: Any, other_state: Any, rng: Any, images: Any, train: bool) -> tuple[Any, Any]:
    """Return the output of all but the last layer, [b, 200] float32, and the updated batch statistics."""
    variables = {"params": params, **other_state}
    return network.apply(variables, images, train, head=False, rngs={"dropout": rng}, mutable=["batch_stats"])


def predict(state: Any, images: Any) -> Any:
    """Return log-probabilities, [b, 10] float32, with dropout off and running statistics."""
    params, other_state = state
    return jax.nn.log_softmax(network.apply({"params": params, **other_state}, images, train=False))


def accuracy(state: Any, images: Any, labels: Any) -> Any:
    """Return the share of images whose most probable class is the label, [] float32."""
    hits = jnp.argmax(predict(state, images), axis=-1) == jnp.argmax(labels, axis=-1)
    return jnp.mean(hits.astype(jnp.float32))


case = Case(
    name="reference",
    init=init,
    loss=loss,
    predict=predict,
    accuracy=accuracy,
    data=Spec("b", 28, 28, 1),
    labels=Spec("b", 10),
    dataset=digits,
    trunk=trunk,
)
