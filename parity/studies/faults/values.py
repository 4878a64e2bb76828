"""Values that are not finite, hidden or made up, and the ends of what float32 holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from parity.studies.faults import Fault, Plant
from parity.studies.faults.bench import Bench
from parity.studies.faults.plants import grouped, module, variable

KERNEL, BIAS = "Dense_1/kernel", "Dense_1/bias"


def _with(index: tuple[int, ...], number: float) -> Any:
    def changed(value: Any) -> Any:
        value[index] = number
        return value

    return changed


def _hidden(bad: Plant, hide: Any) -> Plant:
    """Put a bad value into the artifact, and hide it in the predictions."""

    @contextmanager
    def plant(bench: Bench) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(bad(bench))
            stack.enter_context(module("predict", lambda artifact, data: hide(artifact.predict(data)))(bench))
            yield

    return plant


def _masked(x: Any) -> Any:
    return tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)


def _finite(x: Any) -> Any:
    most = np.finfo(np.float32).max
    return _masked(tf.clip_by_value(x, -most, most))


def _naive(artifact: Any, data: Any) -> Any:
    """Return the logarithm of probabilities rounded to float16, where the smallest become zero."""
    return tf.math.log(tf.cast(tf.cast(tf.exp(artifact.predict(data)), tf.float16), tf.float32))


FAULTS = grouped(
    "values",
    Fault("one weight not a number", KERNEL, variable(KERNEL, _with((0, 0), np.nan)), quick=True),
    Fault("one bias infinite", BIAS, variable(BIAS, _with((3,), -np.inf))),
    Fault(
        "NaN replaced by zero before it is served", f"{KERNEL}, Exported.predict",
        _hidden(variable(KERNEL, _with((0, 0), np.nan)), _masked), ("predict",),
    ),
    Fault(
        "infinity clipped to the largest float", f"{BIAS}, Exported.predict",
        _hidden(variable(BIAS, _with((3,), -np.inf)), _finite), ("predict",), quick=True,
    ),
    Fault(
        "log-probabilities clipped at -10", "Exported.predict",
        module("predict", lambda artifact, data: tf.maximum(artifact.predict(data), -10.0)), ("predict",),
    ),
    Fault("the logarithm of probabilities that underflow", "Exported.predict", module("predict", _naive), ("predict",)),
    Fault("one weight overflowed to the largest float", BIAS, variable(BIAS, _with((3,), np.finfo(np.float32).max))),
)  # fmt: skip
