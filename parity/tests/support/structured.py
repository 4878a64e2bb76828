"""A case with nested inputs, the batch not first, a length "t", and outputs of every kind in a NamedTuple."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Case, Dataset, Spec, Training

LENGTH, WORDS, WIDTH = 16, 20, 8


class Sentence(NamedTuple):
    words: Any
    mask: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Side:
    scale: Any
    rows: Any


class Outputs(NamedTuple):
    scores: Any
    best: Any
    more: Any


def init(key):
    table, hidden, out = jax.random.split(key, 3)
    params = {
        "table": jax.random.normal(table, (WORDS, WIDTH)),
        "hidden": jax.random.normal(hidden, (WIDTH, WIDTH)) / 3,
        "out": jax.random.normal(out, (WIDTH, 3)) / 3,
        "temperature": jnp.float32(1.3),
    }
    return params, {}


def features(params, data):
    sentence, side = data["sentence"], data["side"]
    tokens = jnp.tanh(params["table"][sentence.words] @ params["hidden"])
    mask = sentence.mask[..., None].astype(jnp.float32)
    pooled = (tokens * mask).sum(0) / jnp.maximum(mask.sum(0), 1)
    return (pooled + side.rows) * side.scale, tokens


def logits(params, data):
    return features(params, data)[0] @ params["out"] / params["temperature"]


def predict(state, data):
    params, _ = state
    scores = logits(params, data)
    more = {
        "tokens": features(params, data)[1],  # [t, b, 8]
        "temperature": params["temperature"],
        "table": params["table"],
        "fixed": jnp.arange(5.0),
        "mean": scores.mean(0),
        "none": None,
        "rounded": jnp.clip(jnp.round(scores * 20), -128, 127).astype(jnp.int8),
        "positive": scores > 0,
        "half": scores.astype(jnp.bfloat16),
        "spectrum": jnp.fft.fft(scores),
    }
    return Outputs(scores, scores.argmax(-1), more)


def loss(params, other, key, data, labels, train):
    [target] = labels
    return jnp.mean((logits(params, data) - target["wanted"]) ** 2), other


def examples(count, rng):
    words = rng.integers(0, WORDS, (LENGTH, count)).astype(np.int32)
    mask = np.arange(LENGTH)[:, None] < rng.integers(3, LENGTH + 1, count)
    rows = rng.normal(size=(count, WIDTH)).astype(np.float32)
    data = {"sentence": Sentence(words, mask), "side": Side(np.float32(0.7), rows)}
    return Batch(data, ({"wanted": np.tanh(rows[:, :3])},))


def dataset():
    rng = np.random.default_rng(0)
    return Dataset(examples(240, rng), examples(60, rng))


def made(**changes):
    """The case with some fields changed."""
    known = {
        "name": "structured",
        "init": init,
        "loss": loss,
        "predict": predict,
        "data": {
            "sentence": Sentence(Spec("t", "b", dtype="int32"), Spec("t", "b", dtype="bool")),
            "side": Side(Spec(), Spec("b", WIDTH)),
        },
        "labels": ({"wanted": Spec("b", 3)},),
        "dataset": dataset,
        "training": Training(epochs=2, epochs_after=1, batch_size=40),
        "constraints": ("t >= 4", "t <= 2 * 8"),
        "probes": ("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng"),
    }
    return Case(**{**known, **changes})


case = made()
served = made(loss=None, probes=("predict",), training=Training(epochs=0, batch_size=40))
