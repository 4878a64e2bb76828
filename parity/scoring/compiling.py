"""Programs that are evaluated a few times: what XLA's optimisation costs, it does not win back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

FEW_NUMBERS = 1 << 16
"""Elements of an array below which a program is not worth LLVM's optimisation, which makes it 4 times as fast."""
# Measured on 100 programs of the reference, CPU: emitters of fusions by MLIR make an elementwise program take 78 ms
# instead of 32, LLVM in several parts and optimising 49 instead of 34.
_SHORT: dict[str, Any] = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_allow_excess_precision": False,
}
_LEVEL = {"xla_backend_optimization_level": 0}


def compiled(function: Callable[..., Any], *, little: bool = False) -> Callable[..., Any]:
    """Return `function` compiled by `jax.jit` in a short time; `little` does not optimise it at all.

    No precision is added to that of the program's dtypes.
    """
    if "compiler_options" not in inspect.signature(jax.jit).parameters:  # in older releases of jax
        return jax.jit(function)
    return jax.jit(function, compiler_options={**_known(), **(_LEVEL if little else {})})


@functools.cache
def _known() -> dict[str, Any]:
    """Return the options that this XLA has."""
    return {name: value for name, value in _SHORT.items() if _has(name, value)}


def _has(name: str, value: Any) -> bool:
    program = jax.jit(lambda: 0).lower()
    try:
        program.compile(compiler_options={name: value})
    except Exception as error:
        if name not in str(error):
            raise
        return False
    return True
