"""Cases whose sums have many terms, for the study of false alarms: those of the zoo are small."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Case, Dataset, Spec, Training, from_linen

_LABELS = Spec("b", dtype="int32")
_EXAMPLES, _TRAINED_ON = 60, 40


class Pooled(nn.Module):
    """A convolution of photographs, its mean over 112 x 112 places, and a linear layer."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Return scores of 4 classes, [b, 4], of images [b, 224, 224, 3] of bytes."""
        places = nn.relu(nn.Conv(16, (3, 3), strides=2)(image.astype(jnp.float32) / 255.0))
        scores: jax.Array = nn.Dense(4)(places.mean((1, 2)))
        return scores


def _photographs() -> Dataset:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, _EXAMPLES).astype(np.int32)
    images = rng.integers(0, 120, (_EXAMPLES, 224, 224, 3)).astype(np.uint8)
    images[..., 0] += (30 * labels[:, None, None]).astype(np.uint8)
    return _split(images, labels)


def _split(data: np.ndarray, labels: np.ndarray) -> Dataset:
    return Dataset(Batch(data[:_TRAINED_ON], labels[:_TRAINED_ON]), Batch(data[_TRAINED_ON:], labels[_TRAINED_ON:]))


images = from_linen(
    "images", Pooled(), "softmax_cross_entropy_with_integer_labels", data=Spec("b", 224, 224, 3, dtype="uint8"),
    labels=_LABELS, dataset=_photographs, training=Training(batch_size=20),
)  # fmt: skip


def _init(key: jax.Array) -> tuple[Any, Any]:
    return {"weights": 0.1 * jax.random.normal(key, (4,)), "bias": jnp.zeros(())}, {}


def _counts(state: Any, cells: jax.Array) -> dict[str, jax.Array]:
    """Return the expected number of events, and the logarithm of their mean per cell, [b] each."""
    rates = jnp.exp(cells @ state[0]["weights"] + state[0]["bias"])
    return {"number": rates.sum((1, 2)), "log_mean": jnp.log(rates.mean((1, 2)))}


def _loss(params: Any, other: Any, key: Any, cells: jax.Array, labels: jax.Array, train: bool) -> tuple[Any, Any]:
    return jnp.mean((_counts((params, other), cells)["log_mean"] - labels) ** 2), other


def _regions() -> Dataset:
    cells = np.random.default_rng(0).normal(size=(_EXAMPLES, 100, 100, 4)).astype(np.float32)
    return _split(cells, cells[..., 0].mean((1, 2)) + 1)


counts = Case(
    name="counts", init=_init, loss=_loss, predict=_counts, data=Spec("b", 100, 100, 4), labels=Spec("b"),
    dataset=_regions, training=Training(batch_size=20),
    probes=("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient"),
)  # fmt: skip
