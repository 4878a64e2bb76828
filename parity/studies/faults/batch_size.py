"""Faults that depend on the number of rows, or mix them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax.numpy as jnp
import tensorflow as tf

from parity.studies.faults import Fault
from parity.studies.faults.bench import Bench
from parity.studies.faults.plants import ONE_SIZE, grouped, loss, module, predict

TRACED, MULTIPLE = 13, 16
TESTS = ("predict", "relations")


def _fixed(bench: Bench) -> AbstractContextManager[None]:
    """Convert for one batch size instead of a symbolic one."""
    return bench.replaced({"predict": bench.exported(bench.case, TESTS, TRACED).predict})


def _squeezed(original: Any, data: Any) -> Any:
    out = original.predict(data)
    return tf.cond(tf.shape(data)[0] == 1, lambda: out[0], lambda: out)


def _wrong_at_one(original: Any, state: Any, data: Any) -> Any:
    """Centred over the rows where there is one alone, as a squeezed axis is mistaken for the classes."""
    out = original(state, data)
    return jnp.where(jnp.int32(data.shape[0]) == 1, out - out.mean(axis=0), out)


def _padded_rows(rows: Any) -> Any:
    """`rows` filled up with rows of zeros to a multiple of 16."""
    more = (-rows.shape[0]) % MULTIPLE
    return jnp.concatenate([rows, jnp.zeros((more, *rows.shape[1:]), rows.dtype)])


def _padding_counted(original: Any, params: Any, other: Any, rng: Any, data: Any, labels: Any, train: bool) -> Any:
    return original(params, other, rng, _padded_rows(data), _padded_rows(labels), train)


def _padding_normalised(original: Any, state: Any, data: Any) -> Any:
    """Rows shifted by the mean over a batch that padding has diluted."""
    out = original(state, data)
    padded = -(-data.shape[0] // MULTIPLE) * MULTIPLE
    return out + 1e-4 * out.sum(axis=0) / jnp.float32(padded)


def _first_rows(artifact: Any, data: Any) -> Any:
    """Answer in a buffer of eight rows; rows beyond get the answer of the last one."""
    out = artifact.predict(data)
    return tf.gather(out, tf.minimum(tf.range(tf.shape(out)[0]), 7))


def _rolled(original: Any, params: Any, other: Any, rng: Any, data: Any, labels: Any, train: bool) -> Any:
    return original(params, other, rng, data, jnp.roll(labels, 1, axis=0), train)


FAULTS = grouped(
    "batch_size",
    Fault("works at the traced batch size alone", "export._polymorphic", _fixed, TESTS, quick=True),
    Fault("the row dimension lost at batch size 1", "Exported.predict", module("predict", _squeezed), TESTS),
    Fault("wrong values at batch size 1", "the case's predict", predict(_wrong_at_one), TESTS),
    Fault("padding rows counted in the loss", "the case's loss", loss(_padding_counted), sizes=ONE_SIZE),
    Fault("padding shifts the other rows", "the case's predict", predict(_padding_normalised), TESTS),
    Fault(
        "rows in reverse order", "Exported.predict",
        module("predict", lambda artifact, data: tf.reverse(artifact.predict(data), [0])), TESTS, quick=True,
    ),
    Fault("rows after the eighth repeat it", "Exported.predict", module("predict", _first_rows), TESTS),
    Fault("labels one row late", "the case's loss", loss(_rolled), sizes=ONE_SIZE),
)  # fmt: skip
