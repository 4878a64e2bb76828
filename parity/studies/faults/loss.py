"""Faults in the loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from parity.studies.faults import Fault
from parity.studies.faults.plants import LOSSES, ONE_SIZE, Patch, function, grouped, inside, loss

WHERE = "optax.softmax_cross_entropy"


def _row_losses(change: Any) -> Patch:
    """`change(original, logits, labels)` gives the loss per row, of which the case takes the mean."""
    return function(
        optax, "softmax_cross_entropy", lambda original: lambda logits, labels: change(original, logits, labels)
    )


def _sum(original: Any, logits: Any, labels: Any) -> Any:
    rows = original(logits, labels)
    return jnp.broadcast_to(rows.sum(), rows.shape)


def _smoothed(original: Any, logits: Any, labels: Any) -> Any:
    return original(logits, optax.smooth_labels(labels, 0.01))


def _over_rows(original: Any, logits: Any, labels: Any) -> Any:
    return -jnp.sum(labels * jax.nn.log_softmax(logits, axis=0), axis=-1)


def _partial(original: Any, logits: Any, labels: Any) -> Any:
    """Rows beyond the last whole 4 left out of the sum and the count."""
    rows = original(logits, labels)
    whole = jnp.maximum(jnp.int32(rows.shape[0]) // 4 * 4, 1)
    counted = jnp.where(jnp.arange(rows.shape[0]) < whole, rows, 0)
    return counted * (jnp.float32(rows.shape[0]) / whole)


def _nominal(original: Any, logits: Any, labels: Any) -> Any:
    rows = original(logits, labels)
    return rows * (jnp.float32(rows.shape[0]) / 256)


def _clipped(original: Any, logits: Any, labels: Any) -> Any:
    """From probabilities, clipped as a loss that is not given logits does."""
    return -jnp.sum(labels * jnp.log(jnp.clip(jax.nn.softmax(logits), 1e-3, 1 - 1e-3)), axis=-1)


def _twice(original: Any, logits: Any, labels: Any) -> Any:
    return original(jax.nn.softmax(logits), labels)


def _decay(original: Any, params: Any, *arguments: Any) -> Any:
    value, other = original(params, *arguments)
    return value + 1e-6 * sum(jnp.sum(leaf**2) for leaf in jax.tree_util.tree_leaves(params)), other


FAULTS = grouped(
    "loss",
    Fault("the sum for the mean", WHERE, inside(_row_losses(_sum), *LOSSES)),
    Fault("labels smoothed by 0.01", WHERE, inside(_row_losses(_smoothed), *LOSSES)),
    Fault("softmax over rows for classes", WHERE, inside(_row_losses(_over_rows), *LOSSES)),
    Fault("rows after the last whole 4 left out", WHERE, inside(_row_losses(_partial), *LOSSES), quick=True),
    Fault("a last partial batch divided by the full size", WHERE, inside(_row_losses(_nominal), *LOSSES)),
    Fault("probabilities clipped at 0.001", WHERE, inside(_row_losses(_clipped), *LOSSES)),
    Fault("softmax taken twice", WHERE, inside(_row_losses(_twice), *LOSSES)),
    Fault("a weight penalty of 1e-6 added", "the case's loss", loss(_decay)),
    sizes=ONE_SIZE,
)  # fmt: skip
