"""Precision flags and fast approximations, emulated on the CPU: what each emulates is said beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from parity.studies.faults import Fault
from parity.studies.faults.plants import ONE_SIZE, Patch, function, grouped, inside, layer, predict, rounded

MATMUL, CONVOLUTION, EVERYWHERE = ("dot_general",), ("conv_general_dilated",), ("dot_general", "conv_general_dilated")


def _operands(bits: int, *operations: str) -> Patch:
    """Both operands of products rounded to that many bits, products and sums in float32, as matrix units do."""

    def make(original: Any) -> Callable[..., Any]:
        return lambda one, other, *args, **kwargs: original(rounded(bits)(one), rounded(bits)(other), *args, **kwargs)

    @contextmanager
    def patch() -> Iterator[None]:
        with ExitStack() as stack:
            for name in operations:
                stack.enter_context(function(jax.lax, name, make)())
            yield

    return patch


def _rounded_outputs(bits: int) -> Patch:
    return layer(nn.Dense, lambda dense, call, x: rounded(bits)(call(x)))


def _fast_exponential(x: Any) -> Any:
    """(1 + x / 1024) ** 1024, as fast-math approximations of exp do by squaring."""
    y = 1 + jnp.maximum(x, -1000) / 1024
    for _ in range(10):
        y = y * y
    return y


def _fast_softmax(original: Any, state: Any, data: Any) -> Any:
    out = original(state, data)
    return out - jnp.log(jnp.sum(_fast_exponential(out), axis=-1, keepdims=True))


def _estimate(original: Any) -> Callable[[Any], Any]:
    """Return a reciprocal square root of 12 bits, as RSQRTPS gives without a Newton step."""
    return lambda x: rounded(11)(original(x))


def _three_products_as_weight_error(leaves: dict[str, Any]) -> dict[str, float]:
    """Return the relative error (L2) of kernels rounded likewise; the other operand doubles the variance."""
    kernels = {leaf: value for leaf, value in leaves.items() if leaf.startswith("Dense") and leaf.endswith("kernel")}
    return {
        leaf: float(math.sqrt(2) * np.linalg.norm(rounded(15)(value) - value) / np.linalg.norm(value))
        for leaf, value in kernels.items()
    }


FAULTS = grouped(
    "precision",
    Fault("matrix products in TF32", "Dense: operands to 10 bits", inside(_operands(10, *MATMUL)), quick=True),
    Fault("convolutions in TF32", "Conv: operands to 10 bits", inside(_operands(10, *CONVOLUTION))),
    Fault("matrix products in bfloat16", "Dense: operands to 7 bits", inside(_operands(7, *MATMUL))),
    Fault("oneDNN's bfloat16 math mode", "Dense, Conv: operands to 7 bits", inside(_operands(7, *EVERYWHERE))),
    Fault(
        "three products in bfloat16 for one", "Dense: operands to 15 bits", inside(_operands(15, *MATMUL)),
        equals=_three_products_as_weight_error,
    ),
    Fault("activations kept in bfloat16", "Dense: results to 7 bits", inside(_rounded_outputs(7))),
    Fault("activations kept in float16", "Dense: results to 10 bits", inside(_rounded_outputs(10))),
    Fault(
        "fast-math reciprocal square root", "BatchNorm: rsqrt to 11 bits", inside(function(jax.lax, "rsqrt", _estimate))
    ),
    Fault("fast-math exponential", "log_softmax: exp by squaring", predict(_fast_softmax), ("predict",)),
    sizes=ONE_SIZE,
)  # fmt: skip
