"""JAX functions with every result off by what rounding may cost, at random.

Each operation errs by up to one unit in the last place of its own dtype; a sum, and a sum of products, by that much of
the sum of the magnitudes that it adds, because another compiler adds in another order. After D. S. Parker, "Monte Carlo
Arithmetic", UCLA CSD-970002, 1997; the bound of sums is that of N. J. Higham, "Accuracy and Stability of Numerical
Algorithms", 2nd edition, SIAM 2002, section 4.2, without its growth with the number of terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from parity.scoring.arithmetic import CALLS, Arithmetic, trace

SUMS = {
    "cumsum", "conv_general_dilated", "dot_general", "reduce_sum", "reduce_window_sum", "scatter-add", "scatter_add",
    "select_and_scatter_add",
}  # fmt: skip
"""The primitives that add many terms."""
EXACT = {
    "abs", "argmax", "argmin", "bitcast_convert_type", "broadcast_in_dim", "ceil", "clamp", "complex", "concatenate",
    "cond", "conj", "copy", "copy_p", "cummax", "cummin", "dynamic_slice", "dynamic_update_slice", "expand_dims",
    "floor", "gather", "imag", "iota", "max", "min", "neg", "pad", "real", "reduce_max", "reduce_min",
    "reduce_window_max", "reduce_window_min", "reshape", "rev", "round", "scan", "scatter", "select_and_gather_add",
    "select_n", "sign", "slice", "sort", "split", "squeeze", "stop_gradient", "top_k", "transpose", "while", *CALLS,
}  # fmt: skip
"""The primitives that move or choose values and never round. A conversion rounds where it narrows."""
SOLVERS = {
    "cholesky", "eig", "eigh", "geqrf", "householder_product", "lu", "qr", "schur", "svd", "triangular_solve",
    "tridiagonal_solve",
}  # fmt: skip
"""The primitives that are backward stable: their result is exact for an input that is off by about one ulp (Higham,
chapters 8 to 10 and 19)."""


def with_rounding(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compile `function` for arguments shaped like `arguments`, every rounded result off at random.

    Returns:
        A function of a seed (an integer) and of `arguments`.
    """
    program, structure = trace(function, arguments)
    compiled = jax.jit(lambda seed, *flat: Rounding(seed).evaluate(program.jaxpr, program.consts, flat))

    def rounded(seed: int, *arguments: Any) -> Any:
        flat = compiled(np.uint32(seed), *jax.tree_util.tree_leaves(arguments))
        return jax.tree_util.tree_unflatten(structure, jax.block_until_ready(flat))

    return rounded


def computed_dtypes(function: Callable[..., Any], *arguments: Any) -> set[str]:
    """Return the floating-point and complex dtypes in which a program computes, for arguments shaped like these."""
    program = trace(function, arguments)[0].jaxpr
    computed = (v.aval.dtype for e in _equations(program) for v in e.outvars)
    found = {dtype.name for dtype in computed if jax.numpy.issubdtype(dtype, np.inexact)}
    return found | {_AS_PRECISE_AS[bits] for bits in _reduced(program) if bits in _AS_PRECISE_AS}


_AS_PRECISE_AS = {**dict.fromkeys(range(8), "bfloat16"), **dict.fromkeys(range(8, 11), "float16")}
"""The dtype that stands for a precision, by the digits of its fraction."""


def _reduced(jaxpr: Any) -> Iterator[int]:
    """Yield the digits to which a program reduces the precision of values that keep their dtype."""
    names = (equation for equation in _equations(jaxpr) if equation.primitive.name == "reduce_precision")
    yield from (equation.params["mantissa_bits"] for equation in names)


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a program and of all programs within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for one in value if isinstance(value, (tuple, list)) else [value]:
                inner = getattr(one, "jaxpr", one)
                if hasattr(inner, "eqns"):
                    yield from _equations(inner)


class Rounding(Arithmetic):
    """Move every rounded result, in its own dtype.

    The error is a hash of the value, its place in the array and in the program, and the seed, so it needs no random
    generator.

    Args:
        seed: uint32, an array.
        places: numbers the places in the program; those within a loop go on from those before it.
    """

    def __init__(self, seed: Any, places: Iterator[int] | None = None) -> None:
        super().__init__()
        self._seed, self._places = seed, itertools.count(1) if places is None else places

    def within(self) -> Arithmetic:
        """Return the arithmetic for a program within this one, with the same seed."""
        return Rounding(self._seed, self._places)

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        if equation.primitive.name in SOLVERS:
            operands = [self._moved(operand, _magnitude(operand), None) for operand in operands]
        return super()._apply(equation, operands)

    def rounded(self, equation: Any, operands: Sequence[Any], results: Sequence[Any]) -> Sequence[Any]:
        """Return the results moved."""
        name, params = equation.primitive.name, equation.params
        exact = name in EXACT and not params.get("branches_platforms")
        if exact or (name == "convert_element_type" and not _narrows(operands[0], results[0])):
            return results
        magnitudes = _magnitudes(equation, operands) if name in SUMS else [_magnitude(result) for result in results]
        digits = params["mantissa_bits"] if name == "reduce_precision" else None
        return [self._moved(r, m, digits) if r.size else r for r, m in zip(results, magnitudes, strict=True)]

    def _moved(self, value: Any, magnitude: Any, digits: int | None) -> Any:
        if jax.numpy.issubdtype(value.dtype, np.complexfloating):
            size = magnitude.real.astype(value.real.dtype)
            return lax.complex(self._moved(value.real, size, digits), self._moved(value.imag, size, digits))
        if not jax.numpy.issubdtype(value.dtype, np.floating):
            return value
        wide = np.promote_types(value.dtype, np.float32)
        kind, start, size = jax.numpy.finfo(value.dtype), value.astype(wide), magnitude.astype(wide)
        ulp = size * wide.type(kind.eps if digits is None else 2.0**-digits)
        counted = (size == lax.round(size)) & (ulp <= 1)  # whole numbers, and sums of them, are exact
        if value.dtype == np.float16:  # below 6e-5 its numbers are evenly spaced
            ulp = lax.select(ulp > 0, lax.max(ulp, lax.full_like(ulp, kind.smallest_subnormal)), ulp)
        moved = (start + self._draws(value).astype(wide) * ulp).astype(value.dtype)
        return lax.select(lax.is_finite(moved) & ~counted, moved, value)

    def _draws(self, value: Any) -> Any:
        """Return float32 numbers in [-1, 1), by multiplicative hashing with the constants of xxHash32."""
        salt = self._seed * np.uint32(0x9E3779B1) + np.uint32(next(self._places) * 0x85EBCA77 & 0xFFFFFFFF)
        bits = lax.bitcast_convert_type(value.astype(np.float32), np.uint32) ^ salt
        bits = bits ^ (lax.iota(np.uint32, value.size).reshape(value.shape) * np.uint32(0x27D4EB2F))
        bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0xC2B2AE3D)  # mixes the high bits, which decide
        return lax.bitcast_convert_type(bits, np.int32).astype(np.float32) * np.float32(2.0**-31)


def _narrows(before: Any, after: Any) -> bool:
    floats = (jax.numpy.issubdtype(array.dtype, np.inexact) for array in (before, after))
    return all(floats) and jax.numpy.finfo(after.dtype).eps > jax.numpy.finfo(before.dtype).eps


def _magnitude(array: Any) -> Any:
    return lax.abs(array) if jax.numpy.issubdtype(array.dtype, np.inexact) else array


def _magnitudes(equation: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """Return what a sum is of the magnitudes of its terms; complex parts are bounded by the magnitude of the whole."""
    sizes = [_magnitude(operand).astype(operand.dtype) for operand in operands]
    found = equation.primitive.bind(*sizes, **equation.params)
    return found if equation.primitive.multiple_results else [found]
