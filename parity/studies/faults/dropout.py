"""Faults in dropout and in the key that it draws with."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from parity.studies.faults import Fault
from parity.studies.faults.plants import ONE_SIZE, attribute, grouped, inside, layer, loss, module, variable

RATE = 0.3
"""Of the reference case."""


def _other_draw(original: Any, params: Any, other: Any, rng: Any, *arguments: Any) -> Any:
    return original(params, other, jax.random.fold_in(rng, 1), *arguments)


def _key_kept(artifact: Any, data: Any, labels: Any) -> Any:
    key = artifact.rng.read_value()
    value = artifact.train_loss(data, labels)
    artifact.rng.assign(key)
    return value


def _advanced_in_evaluation(artifact: Any, data: Any, labels: Any) -> Any:
    artifact.rng.assign_add([1, 0])
    return artifact.eval_loss(data, labels)


def _not_scaled(dropout: Any, call: Any, x: Any) -> Any:
    return call(x) if dropout.deterministic else call(x) * (1 - RATE)


def _always_active(dropout: Any, call: Any, x: Any) -> Any:
    mask = jax.random.bernoulli(jax.random.PRNGKey(0), 1 - RATE, x.shape)
    return jax.numpy.where(mask, x / (1 - RATE), 0) if dropout.deterministic else call(x)


FAULTS = grouped(
    "dropout",
    Fault("another key", "rng", variable("rng", lambda key: key + 1), quick=True),
    Fault("another draw from the same key", "the case's loss", loss(_other_draw, "train_loss")),
    Fault("the key not advanced", "Exported.train_loss", module("train_loss", _key_kept)),
    Fault("the key advanced in evaluation", "Exported.eval_loss", module("eval_loss", _advanced_in_evaluation)),
    Fault("rate 0.25 for 0.3", "flax.linen.Dropout", inside(attribute("Dropout", rate=0.25), "train_loss")),
    Fault(
        "rate and keep probability confused", "flax.linen.Dropout", inside(attribute("Dropout", rate=0.7), "train_loss")
    ),
    Fault("kept values not scaled", "flax.linen.Dropout", inside(layer(nn.Dropout, _not_scaled), "train_loss")),
    Fault(
        "one mask for all rows", "flax.linen.Dropout", inside(attribute("Dropout", broadcast_dims=(0,)), "train_loss")
    ),
    Fault(
        "active in evaluation", "flax.linen.Dropout", inside(layer(nn.Dropout, _always_active), "predict", "eval_loss"),
    ),
    Fault("off in training", "flax.linen.Dropout", inside(attribute("Dropout", deterministic=True), "train_loss")),
    sizes=ONE_SIZE,
)  # fmt: skip
