"""Faults in weights, as they are handed from one framework to the other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import ml_dtypes
import numpy as np
import tensorflow as tf

from parity.export import conversion as export
from parity.studies.faults import Fault
from parity.studies.faults.bench import Bench, Values
from parity.studies.faults.plants import grouped, variable, variables

CONV, HIDDEN, OUTPUT = "Conv_0/kernel", "Dense_0/kernel", "Dense_1/kernel"


def _element(index: tuple[int, ...], change: Any) -> Any:
    def moved(value: Any) -> Any:
        value[index] = change(value[index])
        return value

    return moved


def _relative(error: float) -> Any:
    """Every element off by `error`, its sign drawn at random."""

    def moved(value: Any) -> Any:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], value.shape)
        return (value * (1 + error * signs)).astype(np.float32)

    return moved


def _cut_to_bfloat16(value: Any) -> Any:
    return (value.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _through(dtype: Any) -> Any:
    return lambda value: value.astype(dtype).astype(np.float32)


def _all_bfloat16(values: Values) -> None:
    for leaf, value in values.items():
        if value.dtype == np.float32 and not leaf.startswith("batch_stats/"):
            values[leaf] = _through(ml_dtypes.bfloat16)(value)


def _swap(values: Values) -> None:
    one, other = "Dense_0/bias", "BatchNorm_1/bias"
    values[one], values[other] = values[other], values[one]


def _stale(*leaves: str) -> Any:
    def plant(bench: Bench) -> Any:
        def change(values: Values, _: Bench) -> None:
            for leaf in leaves or [leaf for leaf in values if leaf in bench.before_training and "stats" not in leaf]:
                values[leaf] = bench.before_training[leaf].copy()

        return bench.assigned(change)

    return plant


def _constants(bench: Bench) -> AbstractContextManager[None]:
    """Save the artifact with its parameters as constants of the graph, as if a closure captured them."""

    class Frozen(export.Exported):
        def _trees(self) -> Any:
            with tf.init_scope():
                frozen = [v.numpy() if v.trainable else v for v in self.state_vars]
            return jax.tree_util.tree_unflatten(self._tree, frozen)

    def edit(folder: Path, _: Bench) -> None:
        with mock.patch.object(export, "Exported", Frozen):
            bench.export_again(folder, bench.state, "saved_model", "inference")

    return bench.rewritten(edit)


def _permuted(value: Any) -> Any:
    value[:, [3, 5]] = value[:, [5, 3]]
    return value


_ONE_UP = _element((100, 5), lambda x: np.nextafter(x, np.float32(np.inf)))

FAULTS = grouped(
    "weights",
    Fault("one weight off by 0.001", OUTPUT, variable(OUTPUT, _element((100, 5), lambda x: x + 1e-3)), quick=True),
    Fault("one weight of a convolution off by 1 %", CONV, variable(CONV, _element((1, 1, 0, 4), lambda x: x * 1.01))),
    Fault("the sign of one weight of 1.9 million", HIDDEN, variable(HIDDEN, _element((4700, 100), lambda x: -x))),
    Fault("a weight tensor off by 1e-4 relative", HIDDEN, variable(HIDDEN, _relative(1e-4))),
    Fault("a weight tensor off by 1e-5 relative", HIDDEN, variable(HIDDEN, _relative(1e-5))),
    Fault("a bias left at zero", "BatchNorm_1/bias", variable("BatchNorm_1/bias", np.zeros_like)),
    Fault("a convolution's kernel transposed", CONV, variable(CONV, lambda k: k.swapaxes(0, 1).copy())),
    Fault("a kernel read in column order", OUTPUT, variable(OUTPUT, lambda k: k.T.reshape(k.shape).copy())),
    Fault("two classes of the output swapped", OUTPUT, variable(OUTPUT, _permuted)),
    Fault("two tensors of equal shape swapped", "Dense_0/bias, BatchNorm_1/bias", variables(_swap), quick=True),
    Fault("one tensor from before the training", OUTPUT, _stale(OUTPUT)),
    Fault("all weights from before the training", "every parameter", _stale()),
    Fault("a kernel cut to bfloat16", CONV, variable(CONV, _cut_to_bfloat16)),
    Fault("a kernel rounded to bfloat16", HIDDEN, variable(HIDDEN, _through(ml_dtypes.bfloat16))),
    Fault("a kernel rounded to float16", OUTPUT, variable(OUTPUT, _through(np.float16))),
    Fault("all weights rounded to bfloat16", "every parameter", variables(_all_bfloat16)),
    Fault(
        "weights saved as constants of the graph", "export.Exported", _constants,
        asks=("artifact", "eval_gradient", "train_gradient"),
    ),
    Fault("a weight tensor off by 1e-6 relative", HIDDEN, variable(HIDDEN, _relative(1e-6))),
    Fault("one weight off by 1e-6 relative", OUTPUT, variable(OUTPUT, _element((100, 5), lambda x: x * (1 + 1e-6)))),
    Fault("the last bit of one weight", OUTPUT, variable(OUTPUT, _ONE_UP), quick=True),
)  # fmt: skip
