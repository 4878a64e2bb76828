"""Answers of another dtype or shape, their values right as far as that goes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from parity.studies.faults import Fault, Plant
from parity.studies.faults.plants import grouped, module


def _cast(name: str, dtype: Any) -> Plant:
    return module(name, lambda artifact, *arguments: tf.cast(getattr(artifact, name)(*arguments), dtype))


def _shaped(name: str, shape: Any) -> Plant:
    def reshaped(artifact: Any, *arguments: Any) -> Any:
        out = getattr(artifact, name)(*arguments)
        return tf.reshape(out, shape(out))

    return module(name, reshaped)


FAULTS = grouped(
    "dtypes",
    Fault("predictions in float16", "Exported.predict", _cast("predict", tf.float16), ("predict",)),
    Fault("predictions in float64", "Exported.predict", _cast("predict", tf.float64), ("predict",), quick=True),
    Fault("the loss in float64", "Exported.eval_loss", _cast("eval_loss", tf.float64), ("eval_loss",)),
    Fault("the accuracy cut to a whole number", "Exported.accuracy", _cast("accuracy", tf.int32), ("accuracy",)),
    Fault("one dimension more", "Exported.predict", _shaped("predict", lambda x: [-1, 1, 10]), ("predict",)),
    Fault("rows and classes flattened", "Exported.predict", _shaped("predict", lambda x: [-1]), ("predict",)),
    Fault("the loss as an array of one", "Exported.eval_loss", _shaped("eval_loss", lambda x: [1]), ("eval_loss",)),
)  # fmt: skip
