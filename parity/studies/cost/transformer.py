"""A transformer encoder that classifies sequences of tokens, as a user would write it, of any size."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity import Batch, Case, Dataset, Spec, Training

VOCABULARY, LENGTH, CLASSES, HEADS = 8000, 64, 8, 4
WIDTH_PER_LAYER = 64
"""Larger models are wider and deeper, in about this proportion, so that tensors become larger and more."""
WIDTH_STEP = 8
"""A multiple of `HEADS`."""
TRAINING_EXAMPLES, TEST_EXAMPLES = 512, 128


class Shape(NamedTuple):
    """The shape of a model; the hidden layer of a block is four times as wide."""

    layers: int
    width: int


def shape_of(parameters: float) -> Shape:
    """Return the shape of the model whose number of parameters is nearest to `parameters`, 130,000 at least."""
    layers = max(1, round((parameters / (12 * WIDTH_PER_LAYER**2)) ** (1 / 3)))
    per_width = VOCABULARY + LENGTH  # a block has 12 width² parameters, embeddings these
    width = (math.sqrt(per_width**2 + 48 * layers * parameters) - per_width) / (24 * layers)
    return Shape(layers, max(1, round(width / WIDTH_STEP)) * WIDTH_STEP)


def count(shape: Shape) -> int:
    """Return the number of parameters of a model."""
    layers, width = shape
    return (VOCABULARY + LENGTH) * width + layers * (12 * width**2 + 13 * width) + 2 * width + CLASSES * (width + 1)


class Block(nn.Module):
    """Self-attention and a layer of four times the width, each behind a layer normalisation."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return [b, LENGTH, width]."""
        width, evaluated = x.shape[-1], not train
        h = nn.LayerNorm()(x)
        h = nn.MultiHeadDotProductAttention(num_heads=HEADS, dropout_rate=0.1, deterministic=evaluated)(h)
        x = x + h
        h = nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(x)))
        return x + nn.Dropout(0.1, deterministic=evaluated)(nn.Dense(width)(h))


class Network(nn.Module):
    """Embeddings, blocks, and a layer on the mean over the sequence."""

    shape: Shape

    @nn.compact
    def __call__(self, ids: Any, train: bool) -> Any:
        """Return the scores of the classes, [b, CLASSES] float32, of tokens [b, LENGTH] int32."""
        layers, width = self.shape
        x = nn.Embed(VOCABULARY, width)(ids)
        x = x + self.param("position", nn.initializers.normal(0.02), (LENGTH, width))
        for _ in range(layers):
            x = Block()(x, train)
        return nn.Dense(CLASSES)(nn.LayerNorm()(x).mean(1))


def dataset() -> Dataset:
    """Return sequences of random tokens, a quarter of which are from the part of the vocabulary of the class."""
    draws = np.random.RandomState(0)
    count = TRAINING_EXAMPLES + TEST_EXAMPLES
    labels = draws.randint(0, CLASSES, count)
    data = draws.randint(0, VOCABULARY, (count, LENGTH))
    own = draws.rand(count, LENGTH) < 1 / 4
    part = VOCABULARY // CLASSES
    data = np.where(own, labels[:, None] * part + data % part, data).astype(np.int32)
    labels = labels.astype(np.int32)
    return Dataset(
        train=Batch(data[:TRAINING_EXAMPLES], labels[:TRAINING_EXAMPLES]),
        test=Batch(data[TRAINING_EXAMPLES:], labels[TRAINING_EXAMPLES:]),
    )


def case_of(parameters: float) -> Case:
    """Return the case with about that many parameters."""
    network = Network(shape_of(parameters))

    def init(key: Any) -> tuple[Any, Any]:
        variables = dict(network.init(key, jnp.zeros((1, LENGTH), jnp.int32), train=False))
        return variables.pop("params"), variables

    def predict(state: Any, data: Any) -> Any:
        params, other = state
        return jax.nn.log_softmax(network.apply({"params": params, **other}, data, train=False))

    def loss(params: Any, other: Any, key: Any, data: Any, labels: Any, train: bool) -> tuple[Any, Any]:
        scores = network.apply({"params": params, **other}, data, train=train, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean(), other

    return Case(
        name="transformer",
        init=init,
        loss=loss,
        predict=predict,
        data=Spec("b", LENGTH, dtype="int32"),
        labels=Spec("b", dtype="int32"),
        dataset=dataset,
        probes=("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng"),
        training=Training(epochs=2, epochs_after=1, batch_size=64, learning_rate=1e-3),
    )
