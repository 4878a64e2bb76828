"""JAX functions with every result off by what rounding may cost, at random.

Each operation errs by up to one unit in the last place of its own dtype; a sum, and a sum of products, by that much of
the sum of the magnitudes that it adds, because another compiler adds in another order. After D. S. Parker, "Monte Carlo
Arithmetic", UCLA CSD-970002, 1997; the bound of sums is that of N. J. Higham, "Accuracy and Stability of Numerical
Algorithms", 2nd edition, SIAM 2002, section 4.2, with the growth of `growth`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax

from parity.scoring.arithmetic import CALLS, Arithmetic, Widening, trace, x64
from parity.scoring.one_by_one import OneByOne

BLOCK = 256
"""The terms of a sum whose order costs no more than its last addition; see `growth`."""
EXACT = {
    "abs", "argmax", "argmin", "bitcast_convert_type", "broadcast_in_dim", "ceil", "clamp", "complex", "concatenate",
    "cond", "conj", "copy", "copy_p", "cummax", "cummin", "device_put", "dynamic_slice", "dynamic_update_slice",
    "expand_dims", "floor", "gather", "imag", "iota", "max", "min", "name", "neg", "nextafter", "optimization_barrier",
    "pad", "real", "reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min", "rem", "reshape", "rev",
    "round", "scan", "scatter", "scatter-max", "scatter-min", "scatter_max", "scatter_min", "select_and_gather_add",
    "select_n", "sharding_constraint", "sign", "slice", "sort", "split", "squeeze", "stop_gradient", "top_k",
    "transpose", "while", *CALLS,
}  # fmt: skip
"""The primitives that move or choose values and never round. A conversion rounds where it narrows, and a whole number
where the dtype does not have it."""
SOLVERS = {
    "cholesky", "eig", "eigh", "geqrf", "householder_product", "lu", "qr", "schur", "svd", "triangular_solve",
    "tridiagonal_solve",
}  # fmt: skip
"""The primitives that are backward stable: their result is exact for an input that is off by about one ulp (Higham,
chapters 8 to 10 and 19)."""


def growth(terms: Any) -> Any:
    """Return how many times as large the error of a sum of so many terms, a number or an array, may be as one ulp.

    The errors of n additions in a row add like a random walk (N. J. Higham and T. Mary, "A new approach to
    probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019); those within blocks of `BLOCK` terms are
    added pairwise, or in several registers.
    """
    if isinstance(terms, int):
        return max(1.0, math.sqrt(terms / BLOCK))
    return lax.sqrt(lax.max(terms / BLOCK, lax.full_like(terms, 1)))


def with_rounding(
    function: Callable[..., Any],
    *arguments: Any,
    growth: Callable[[Any], Any] = growth,
    conversions: bool = True,
    inexact_alone: bool = False,
    sums_in_float64: bool = False,
) -> Callable[..., Any]:
    """Return `function` for arguments shaped like `arguments`, every rounded result off at random.

    Each operation is compiled, and not the whole, which would take longer than eight evaluations: equal operations
    share a program.

    Args:
        function: of pytrees of arrays.
        arguments: arrays, or anything with their shapes and dtypes.
        growth: how the error of a sum grows with the number of its terms.
        conversions: whether those to a narrower dtype are off, or rounded to the nearest value.
        inexact_alone: whether results are off only where float64 has others; see `RoundingInexact`.
        sums_in_float64: whether sums are added in float64 before they are off; see `RoundingWideSums`.

    Returns:
        A function of a seed (an integer) and of `arguments`.
    """
    program, structure = trace(function, arguments)
    compiled: dict[Any, Callable[..., Any]] = {}

    def rounded(seed: int, *arguments: Any) -> Any:
        flat = [jax.numpy.asarray(leaf) for leaf in jax.tree_util.tree_leaves(arguments)]
        kind = RoundingInexact if inexact_alone else RoundingWideSums if sums_in_float64 else Rounding
        with nullcontext() if kind is Rounding else x64():
            arithmetic = OneByOne(Rounded(kind, growth, conversions), np.uint32(seed), compiled)
            found = jax.block_until_ready(arithmetic.evaluate(program.jaxpr, program.consts, flat))
        return jax.tree_util.tree_unflatten(structure, found)

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


FIRST = np.uint32(0)
"""What the places of a whole program are numbered from."""


class Rounding(Arithmetic):
    """Move every rounded result, in its own dtype.

    The error is a hash of the value, its place in the array and in the program, and the seed, so it needs no random
    generator.

    Args:
        seed: uint32, an array.
        growth: how the error of a sum grows with the number of its terms.
        conversions: whether those to a narrower dtype are off.
        start: uint32, what the places in the program are numbered from.
        places: numbers them, those within a loop going on from those before it.
    """

    def __init__(
        self,
        seed: Any,
        growth: Callable[[Any], Any],
        conversions: bool = True,
        start: Any = FIRST,
        places: Iterator[int] | None = None,
    ) -> None:
        self._seed, self._growth, self._conversions, self._start = seed, growth, conversions, start
        self._places = itertools.count(1) if places is None else places

    def within(self) -> Arithmetic:
        """Return the arithmetic for a program within this one, with the same seed."""
        return Rounding(self._seed, self._growth, self._conversions, self._start, self._places)

    def _while(self, params: Any, operands: list[Any]) -> Sequence[Any]:
        """Return the results of as many turns as the loop takes without rounding at random.

        A loop until nothing changes may never end where every turn changes something at random.
        """
        of_condition, of_body = params["cond_nconsts"], params["body_nconsts"]
        condition, body = operands[:of_condition], operands[of_condition:][:of_body]
        plain, first = Arithmetic(), operands[of_condition + of_body :]
        turns, *_ = lax.while_loop(
            lambda carry: plain._evaluate_within(params["cond_jaxpr"], [*condition, *carry[1:]])[0],
            lambda carry: [carry[0] + 1, *plain._evaluate_within(params["body_jaxpr"], [*body, *carry[1:]])],
            [np.int32(0), *first],
        )
        _, *found = lax.while_loop(
            lambda carry: carry[0] < turns,
            lambda carry: [carry[0] + 1, *self._evaluate_within(params["body_jaxpr"], [*body, *carry[1:]])],
            [np.int32(0), *first],
        )
        return found

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        if equation.primitive.name in SOLVERS:
            operands = [self._moved(operand, operand) for operand in operands]
        return super()._apply(equation, operands)

    def rounded(self, equation: Any, operands: Sequence[Any], results: Sequence[Any]) -> Sequence[Any]:
        """Return the results moved."""
        name, params = equation.primitive.name, equation.params
        exact = name in EXACT and not params.get("branches_platforms")
        if name == "convert_element_type":
            exact = not self._conversions or not _narrows(operands[0], results[0])
        if exact or _is_scaled(equation):
            return results
        if name not in SUMS or not _inexact(results[0]):
            digits = params["mantissa_bits"] if name == "reduce_precision" else None
            return [self._moved(result, result, digits) for result in results]
        terms = SUMS[name](equation, operands, results[0])
        if name in _ADD and isinstance(terms, int) and terms < 2:
            return results
        magnitudes, grown = _magnitudes(equation, operands), self._growth(terms)
        return [self._moved(r, m, None, grown) for r, m in zip(results, magnitudes, strict=True)]

    def _moved(self, value: Any, magnitude: Any, digits: int | None = None, growth: Any = 1.0) -> Any:
        if not value.size or not _inexact(value):
            return value
        place = self._start + np.uint32(next(self._places))
        return moved(value, magnitude, self._seed, place, growth, digits)


class RoundingInexact(Rounding):
    """Move those results alone that the operation, or the loop, does not have exactly: float64 has others.

    It tells whether a program rounds anything on its way to a value. Another order of a sum may round what this one
    does not, so it makes no budgets.
    """

    def _controlled(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        plain = Arithmetic()._controlled(equation, operands)
        return _where_inexact(Widening._controlled, equation, operands, plain, super()._controlled(equation, operands))

    def rounded(self, equation: Any, operands: Sequence[Any], results: Sequence[Any]) -> Sequence[Any]:
        """Return the results moved where they are not exact."""
        found = super().rounded(equation, operands, results)
        return found if found is results else _where_inexact(Widening._apply, equation, operands, results, found)


class RoundingWideSums(Rounding):
    """Add sums, and sums of products, in float64, and round them once, outside of loops.

    A sum in float32 of many terms of one sign and size may be off by far more than its rounding at random, because the
    errors of all additions have one sign; then no evaluation that adds in JAX's order lies around the exact sum.
    """

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        if equation.primitive.name not in SUMS or not _inexact(equation.outvars[0].aval):
            return super()._apply(equation, operands)
        wide = _in_float64(Widening._apply, equation, operands)
        return [w.astype(v.aval.dtype) for w, v in zip(wide, equation.outvars, strict=True)]


def _in_float64(evaluate: Callable[..., Sequence[Any]], equation: Any, operands: Sequence[Any]) -> Sequence[Any]:
    return evaluate(Widening(), equation, [Widening().cast(operand) for operand in operands])


def _where_inexact(
    evaluate: Callable[..., Sequence[Any]], equation: Any, operands: Sequence[Any], plain: Sequence[Any],
    moved: Sequence[Any],
) -> Sequence[Any]:  # fmt: skip
    """Return the plain results where float64 has the same, else the moved ones."""
    exact = [w == p.astype(w.dtype) for w, p in zip(_in_float64(evaluate, equation, operands), plain, strict=True)]
    return [jax.numpy.where(e, p, m) for e, p, m in zip(exact, plain, moved, strict=True)]


@dataclass(frozen=True)
class Rounded:
    """A kind of rounding, without a seed."""

    kind: type[Rounding]
    growth: Callable[[Any], Any]
    conversions: bool

    def __call__(self, seed: Any, start: Any) -> Rounding:
        """Return the arithmetic for one operation; `start` is what the places within it are numbered from."""
        return self.kind(seed, self.growth, self.conversions, start)

    def reads(self, equation: Any) -> bool:
        """Return whether the operation scales by a power of two."""
        return _is_scaled(equation)


@partial(jax.jit, static_argnames="digits", inline=True)
def moved(value: Any, magnitude: Any, seed: Any, place: Any, growth: Any, digits: int | None = None) -> Any:
    """Return a value off by up to `growth` times one ulp of a magnitude, of the dtype of the value.

    Args:
        value: floats, or complex numbers, whose parts are moved each.
        magnitude: like `value`; its sign does not count.
        seed: uint32.
        place: uint32, of the value in the program.
        growth: a number, or float32 like `value`.
        digits: of the fraction, where it is reduced to fewer than the dtype has.
    """
    size = lax.abs(magnitude)
    if jax.numpy.issubdtype(value.dtype, np.complexfloating):
        size = size.astype(value.real.dtype)
        parts = (value.real, place), (value.imag, place + np.uint32(0x80000000))
        return lax.complex(*(_moved(part, size, seed, at, growth, digits) for part, at in parts))
    return _moved(value, size, seed, place, growth, digits)


def _moved(value: Any, size: Any, seed: Any, place: Any, growth: Any, digits: int | None) -> Any:
    wide = np.promote_types(value.dtype, np.float32)
    kind, start, size = jax.numpy.finfo(value.dtype), value.astype(wide), size.astype(wide)
    ulp = size * wide.type(kind.eps if digits is None else 2.0**-digits)
    counted = (size == lax.round(size)) & (ulp <= 1)  # whole numbers, and sums of them, are exact
    if value.dtype == np.float16:  # below 6e-5 its numbers are evenly spaced
        ulp = lax.select(ulp > 0, lax.max(ulp, lax.full_like(ulp, kind.smallest_subnormal)), ulp)
    result = (start + _draws(value, seed, place).astype(wide) * (ulp * jax.numpy.asarray(growth, wide))).astype(
        value.dtype
    )
    return lax.select(lax.is_finite(result) & ~counted, result, value)


def _draws(value: Any, seed: Any, place: Any) -> Any:
    """Return float32 numbers in [-1, 1), by multiplicative hashing with the constants of xxHash32."""
    salt = seed * np.uint32(0x9E3779B1) + place * np.uint32(0x85EBCA77)
    bits = lax.bitcast_convert_type(value.astype(np.float32), np.uint32) ^ salt
    bits = bits ^ (lax.iota(np.uint32, value.size).reshape(value.shape) * np.uint32(0x27D4EB2F))
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0xC2B2AE3D)  # mixes the high bits, which decide
    return lax.bitcast_convert_type(bits, np.int32).astype(np.float32) * np.float32(2.0**-31)


def _is_scaled(equation: Any) -> bool:
    """Return whether an operation multiplies or divides by a power of two that the program states, which is exact."""
    if equation.primitive.name not in ("mul", "div"):
        return False
    factors = equation.invars if equation.primitive.name == "mul" else equation.invars[1:]
    stated = [np.asarray(atom.val) for atom in factors if hasattr(atom, "val") and _inexact(atom.aval)]
    return any(value.ndim == 0 and abs(np.frexp(np.float64(value))[0]) == 0.5 for value in stated)


def _inexact(array: Any) -> bool:
    return bool(jax.numpy.issubdtype(array.dtype, np.inexact))


def _narrows(before: Any, after: Any) -> bool:
    if not _inexact(before) or not _inexact(after):
        return _inexact(after) and before.dtype != bool
    return bool(jax.numpy.finfo(after.dtype).eps > jax.numpy.finfo(before.dtype).eps)


def _magnitudes(equation: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """Return what a sum is of the magnitudes of its terms; complex parts are bounded by the magnitude of the whole."""
    sizes = [lax.abs(o).astype(o.dtype) if _inexact(o) else o for o in operands]
    found = equation.primitive.bind(*sizes, **equation.params)
    return found if equation.primitive.multiple_results else [found]


def _contracted(equation: Any, operands: Sequence[Any], result: Any) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    return math.prod(operands[0].shape[axis] for axis in axes)


def _convolved(equation: Any, operands: Sequence[Any], result: Any) -> int:
    kernel = operands[1]
    return kernel.size // max(kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]], 1)


def _reduced_to_one(equation: Any, operands: Sequence[Any], result: Any) -> int:
    return operands[0].size // max(result.size, 1)


def _along_axis(equation: Any, operands: Sequence[Any], result: Any) -> int:
    return int(operands[0].shape[equation.params["axis"]])


def _in_window(equation: Any, operands: Sequence[Any], result: Any) -> int:
    return math.prod(equation.params["window_dimensions"])


def _scattered(equation: Any, operands: Sequence[Any], result: Any) -> Any:
    """Return how many updates come to each place, float32: one row of an embedding may get most of them."""
    start, indices, updates = operands
    zeros, ones = lax.full_like(start, 0, np.float32), lax.full_like(updates, 1, np.float32)
    params = equation.params
    return lax.scatter_add(
        zeros, indices, ones, params["dimension_numbers"], indices_are_sorted=params["indices_are_sorted"],
        unique_indices=params["unique_indices"], mode=params["mode"],
    )  # fmt: skip


SUMS: dict[str, Callable[[Any, Sequence[Any], Any], Any]] = {
    "cumsum": _along_axis,
    "conv_general_dilated": _convolved,
    "dot_general": _contracted,
    "reduce_sum": _reduced_to_one,
    "reduce_window_sum": _in_window,
    "scatter-add": _scattered,
    "scatter_add": _scattered,
    "select_and_scatter_add": _in_window,
}
"""The primitives that add many terms, and how many; each takes the equation, its operands and its first result."""
_ADD = {"cumsum", "reduce_sum", "reduce_window_sum"}
"""Those that add and do not multiply: of one term, the sum is exact."""
