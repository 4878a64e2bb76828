"""Faults in batch normalisation."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import tree_util

from parity.studies.faults import Fault
from parity.studies.faults.bench import Bench, Values
from parity.studies.faults.plants import ONE_SIZE, attribute, grouped, inside, layer, loss, module, variable, variables

MEAN, VARIANCE = "batch_stats/BatchNorm_0/mean", "batch_stats/BatchNorm_0/var"
EPSILON = 1e-5
"""Flax's default."""


def _initial(values: Values) -> None:
    for leaf, value in values.items():
        if leaf.startswith("batch_stats/"):
            value[:] = 1.0 if leaf.endswith("var") else 0.0


def _stale_layer(bench: Bench) -> Any:
    def change(values: Values, _: Bench) -> None:
        for leaf in (MEAN, VARIANCE):
            values[leaf] = bench.before_training[leaf].copy()

    return bench.assigned(change)


def _swapped(values: Values) -> None:
    values[MEAN], values[VARIANCE] = values[VARIANCE], values[MEAN]


def _two_channels(value: Any) -> Any:
    value[[2, 7]] = value[[7, 2]]
    return value


def _unbiased(original: Any, params: Any, other: Any, rng: Any, data: Any, labels: Any, train: bool) -> Any:
    """Multiply what the batch adds to the running variance by n / (n - 1), as other frameworks do."""
    value, updated = original(params, other, rng, data, labels, train)
    if not train:
        return value, updated

    def corrected(path: Any, new: Any, old: Any) -> Any:
        n = jnp.float32(data.shape[0]) * (28 * 28 if "BatchNorm_0" in str(path) else 1)
        added = new - 0.99 * old
        return new + added / jnp.maximum(n - 1, 1) if "var" in str(path) else new

    return value, tree_util.tree_map_with_path(corrected, updated, other)


def _not_updated(original: Any, params: Any, other: Any, *arguments: Any) -> Any:
    return original(params, other, *arguments)[0], other


def _updated_in_evaluation(artifact: Any, data: Any, labels: Any) -> Any:
    value, key = artifact.eval_loss(data, labels), artifact.rng.read_value()
    artifact.train_loss(data, labels)
    artifact.rng.assign(key)
    return value


def _of_the_batch(norm: Any, call: Any, x: Any) -> Any:
    axes = tuple(range(x.ndim - 1))
    centred = x - x.mean(axis=axes)
    return centred / jnp.sqrt(x.var(axis=axes) + EPSILON) + norm.variables["params"]["bias"]


def _epsilon_as_weight_error(values: dict[str, Any]) -> dict[str, float]:
    """Return the error in a kernel that an epsilon off by 1 % equals: 0.01 epsilon / 2 (variance + epsilon)."""
    kernels = {"Conv_0/kernel": "BatchNorm_0", "Dense_0/kernel": "BatchNorm_1"}
    return {
        kernel: float(np.max(0.01 * EPSILON / 2 / (values[f"batch_stats/{norm}/var"] + EPSILON)))
        for kernel, norm in kernels.items()
    }


FAULTS = grouped(
    "statistics",
    Fault("batch statistics at their initial values", "batch_stats/*", variables(_initial), quick=True),
    Fault("one layer's statistics from before the training", "batch_stats/BatchNorm_0/*", _stale_layer),
    Fault("mean and variance swapped", "batch_stats/BatchNorm_0/*", variables(_swapped)),
    Fault("the statistics of two channels swapped", MEAN, variable(MEAN, _two_channels)),
    Fault("standard deviations stored for variances", VARIANCE, variable(VARIANCE, np.sqrt)),
    Fault("momentum 0.9 for 0.99", "flax.linen.BatchNorm", inside(attribute("BatchNorm", momentum=0.9), "train_loss")),
    Fault(
        "momentum counted the other way round", "flax.linen.BatchNorm",
        inside(attribute("BatchNorm", momentum=0.01), "train_loss"),
    ),
    Fault("epsilon 1e-3 for 1e-5", "flax.linen.BatchNorm", inside(attribute("BatchNorm", epsilon=1e-3))),
    Fault("running variance unbiased, n / (n - 1)", "the case's loss", loss(_unbiased, "train_loss")),
    Fault("statistics not updated in training", "the case's loss", loss(_not_updated, "train_loss")),
    Fault("statistics updated in evaluation", "Exported.eval_loss", module("eval_loss", _updated_in_evaluation)),
    Fault(
        "training with the running statistics", "flax.linen.BatchNorm",
        inside(attribute("BatchNorm", use_running_average=True), "train_loss"),
    ),
    Fault(
        "predicting with the batch's statistics", "flax.linen.BatchNorm",
        inside(layer(nn.BatchNorm, _of_the_batch), "predict"),
    ),
    Fault(
        "epsilon off by 1 %", "flax.linen.BatchNorm", inside(attribute("BatchNorm", epsilon=1.01 * EPSILON)),
        equals=_epsilon_as_weight_error,
    ),
    sizes=ONE_SIZE,
)  # fmt: skip
