"""JAX functions as programs of primitives, evaluated in another arithmetic.

`in_float64` widens every value that depends on a floating-point argument: the oracle. Tracing under x64 would draw
other random numbers, because the default dtype of a draw changes; so the function is traced in float32, and its
program is evaluated with the same operations on the same constants, random draws included.

`with_rounding` perturbs every result by up to one ulp: what any compiler's order of operations may cost. After
D. S. Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from parity.core.errors import CaseError

_WIDE = {"float16": "float64", "bfloat16": "float64", "float32": "float64", "complex64": "complex128"}
# Calls, and where they keep the program they call. Differentiation is done by the time a program is evaluated, so a
# custom rule is just the function it decorates.
_CALLS = {
    "pjit": "jaxpr", "jit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip
# These look at the bits of a float32, or draw by its precision.
_IN_FLOAT32 = ("bitcast_convert_type", "random_gamma")
# These move or choose values and never round.
_EXACT = {
    "abs", "argmax", "argmin", "bitcast_convert_type", "broadcast_in_dim", "complex", "concatenate", "cond", "conj",
    "convert_element_type", "copy", "copy_p", "dynamic_slice", "dynamic_update_slice", "expand_dims", "gather", "imag",
    "iota", "max", "min", "neg", "pad", "real", "reduce_max", "reduce_min", "reshape", "rev", "scan", "scatter",
    "select_n", "sign", "slice", "sort", "squeeze", "stop_gradient", "transpose", "while", *_CALLS,
}  # fmt: skip


def in_float64(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compile `function` for arguments shaped like `arguments`, pytrees of float32 and integer arrays.

    Returns:
        A function of float64 and integer arrays (float32 ones are widened) with float64 results of the same structure.

    Raises:
        CaseError: the program calls back into Python.
    """
    program, structure = _trace(function, arguments)
    with _x64():
        compiled = jax.jit(lambda *flat: Widening().evaluate(program.jaxpr, program.consts, flat))

    def widened(*arguments: Any) -> Any:
        with _x64():
            flat = [Widening().cast(np.asarray(leaf)) for leaf in jax.tree_util.tree_leaves(arguments)]
            return jax.tree_util.tree_unflatten(structure, jax.block_until_ready(compiled(*flat)))

    return widened


def with_rounding(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compile `function` likewise, every rounded result off by up to one ulp.

    Returns:
        A function of a seed (an integer) and of `arguments`.
    """
    program, structure = _trace(function, arguments)
    compiled = jax.jit(lambda seed, *flat: Rounding(seed).evaluate(program.jaxpr, program.consts, flat))

    def rounded(seed: int, *arguments: Any) -> Any:
        flat = compiled(np.uint32(seed), *jax.tree_util.tree_leaves(arguments))
        return jax.tree_util.tree_unflatten(structure, jax.block_until_ready(flat))

    return rounded


def _trace(function: Callable[..., Any], arguments: Any) -> tuple[Any, Any]:
    shapes = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), arguments)
    program, results = jax.make_jaxpr(function, return_shape=True)(*shapes)
    return program, jax.tree_util.tree_structure(results)


def _x64() -> Any:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # its place before jax 0.8

    return enable_x64(True)


class Arithmetic:
    """Evaluate a program primitive by primitive; a subclass says what changes.

    Only values that depend on a floating-point argument change. All others, such as random draws, are computed as JAX
    computes them.
    """

    def __init__(self) -> None:
        self._dependent: dict[int, Any] = {}  # by id; the value is kept so that its id stays its own

    def wide(self, dtype: Any) -> Any:
        """Return the dtype that stands for `dtype`."""
        return dtype

    def rounded(self, name: str, results: Sequence[Any]) -> Sequence[Any]:
        """Return what the results of primitive `name` become."""
        return results

    def evaluate(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Return the results of the program for `arguments`, on which every floating-point value depends."""
        self._dependent = {id(a): a for a in arguments if jax.numpy.issubdtype(a.dtype, np.inexact)}
        return [self.cast(result) for result in self._run(jaxpr, consts, arguments)]

    def _run(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Any:
            return np.asarray(atom.val, atom.aval.dtype) if hasattr(atom, "val") else values[atom]

        for equation in jaxpr.eqns:
            values.update(zip(equation.outvars, self._step(equation, [read(a) for a in equation.invars]), strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _step(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        primitive, params = equation.primitive, equation.params
        if primitive.name in _CALLS:
            inner = params[_CALLS[primitive.name]]
            return self._run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands)
        if not any(id(operand) in self._dependent for operand in operands):
            results = primitive.bind(*operands, **params)
            return results if primitive.multiple_results else [results]
        results = self.rounded(primitive.name, self._apply(equation, [self.cast(operand) for operand in operands]))
        self._dependent.update((id(result), result) for result in results)
        return results

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        primitive, params = equation.primitive, equation.params
        name = primitive.name
        if name == "reduce_precision":
            return operands
        if "callback" in name:
            raise CaseError(f"the primitive {name} calls back into Python, which cannot be replayed. Remove it.")
        if name in _IN_FLOAT32:
            operands = [_to(value, atom.aval.dtype) for value, atom in zip(operands, equation.invars, strict=True)]
            results = primitive.bind(*operands, **params)
            return [self.cast(r) for r in (results if primitive.multiple_results else [results])]
        results = primitive.bind(*operands, **{key: self._param(value) for key, value in params.items()})
        return results if primitive.multiple_results else [results]

    def _param(self, value: Any) -> Any:
        """Widen a parameter: a dtype, or a whole program (a branch, a loop body, an accumulation rule)."""
        if self.wide(np.dtype(np.float32)) == np.float32:
            return value
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            return self.wide(np.dtype(value))
        if hasattr(value, "jaxpr") and hasattr(value, "consts"):
            return self._program(value.jaxpr, value.consts)
        if hasattr(value, "eqns"):
            return self._program(value, []).jaxpr
        if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
            return type(value)(self._param(item) for item in value)
        return value

    def _program(self, jaxpr: Any, consts: Sequence[Any]) -> Any:
        shapes = [jax.ShapeDtypeStruct(v.aval.shape, self.wide(v.aval.dtype)) for v in jaxpr.invars]
        return jax.make_jaxpr(lambda *flat: type(self)().evaluate(jaxpr, consts, flat))(*shapes)

    def cast(self, array: Any) -> Any:
        """Return `array` in the dtype that stands for its own."""
        return _to(array, self.wide(array.dtype))


class Widening(Arithmetic):
    """Compute every floating-point value in float64, and every complex one in complex128."""

    def wide(self, dtype: Any) -> Any:
        """Return float64 for every narrower float, complex128 for complex64."""
        return np.dtype(_WIDE[dtype.name]) if dtype.name in _WIDE else dtype


class Rounding(Arithmetic):
    """Move every rounded float32 or complex64 result by up to one ulp.

    The error is a hash of the value, the place in the program and the seed, so it needs no random generator.
    """

    def __init__(self, seed: Any) -> None:
        super().__init__()
        self._seed = seed
        self._place = 0

    def rounded(self, name: str, results: Sequence[Any]) -> Sequence[Any]:
        """Return the results perturbed; those of a whole loop or branch are unchanged."""
        if name in _EXACT:
            return results
        return [self._perturbed(result) if result.size else result for result in results]

    def _perturbed(self, value: Any) -> Any:
        if value.dtype == np.complex64:
            return lax.complex(self._perturbed(lax.real(value)), self._perturbed(lax.imag(value)))
        if value.dtype != np.float32:
            return value
        self._place += 1
        # Multiplicative hashing with the constants of xxHash32's specification.
        salt = self._seed * np.uint32(0x9E3779B1) + np.uint32(self._place * 0x85EBCA77 & 0xFFFFFFFF)
        bits = lax.bitcast_convert_type(value, np.uint32) ^ salt
        bits = (bits ^ (bits >> 15)) * np.uint32(0xC2B2AE3D)
        bits = bits ^ (bits >> 13)
        relative = lax.bitcast_convert_type(bits, np.int32).astype(np.float32) * np.float32(2.0**-31 * 2.0**-23)
        return value + value * relative


def _to(array: Any, dtype: Any) -> Any:
    return array if array.dtype == dtype else array.astype(dtype)
