"""JAX functions as programs of primitives, evaluated in another arithmetic.

`in_float64` widens every value that depends on a floating-point argument: the oracle. Tracing under x64 would draw
other random numbers, because the default dtype of a draw changes; so the function is traced in float32, and its
program is evaluated with the same operations on the same constants, random draws included.

`parity.scoring.rounding` moves every result by what rounding may cost.
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
CALLS = {
    "pjit": "jaxpr", "jit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip
DRAWS = {
    "random_bits", "random_clone", "random_fold_in", "random_seed", "random_split", "random_unwrap", "random_wrap",
    "rng_bit_generator", "rng_uniform", "threefry2x32",
}  # fmt: skip
"""The primitives that make and use random keys: what they draw is no rounded value."""
Value = tuple[Any, bool]
"""A value, and whether it changes."""
# These look at the bits of a float32, or draw by its precision.
_IN_FLOAT32 = ("bitcast_convert_type", "random_gamma")


def in_float64(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compile `function` for arguments shaped like `arguments`, pytrees of float32 and integer arrays.

    Returns:
        A function of float64 and integer arrays (float32 ones are widened) with float64 results of the same structure.

    Raises:
        CaseError: the program calls back into Python.
    """
    program, structure = trace(function, arguments)
    with x64():
        compiled = jax.jit(lambda *flat: Widening().evaluate(program.jaxpr, program.consts, flat))

    def widened(*arguments: Any) -> Any:
        with x64():
            flat = jax.tree_util.tree_leaves(wide(arguments))
            return jax.tree_util.tree_unflatten(structure, jax.block_until_ready(compiled(*flat)))

    return widened


def wide(tree: Any) -> Any:
    """Return a pytree with floats in float64 and complex numbers in complex128; arrays of JAX stay on their devices."""

    def widened(leaf: Any) -> Any:
        return Widening().cast(leaf if isinstance(leaf, jax.Array) else np.asarray(leaf))

    with x64():
        return jax.tree_util.tree_map(widened, tree)


def trace(function: Callable[..., Any], arguments: Any) -> tuple[Any, Any]:
    """Return the program of `function` for arguments shaped like `arguments`, and the structure of its results.

    Calls within it are inlined, but for those in loops and branches.
    """
    shapes = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), arguments)
    program, results = jax.make_jaxpr(function, return_shape=True)(*shapes)
    flat = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in program.jaxpr.invars]
    inlined = jax.make_jaxpr(lambda *values: Arithmetic().evaluate(program.jaxpr, program.consts, values))(*flat)
    return inlined, jax.tree_util.tree_structure(results)


def x64() -> Any:
    """Return a context in which JAX computes in 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # its place before jax 0.8

    return enable_x64(True)


class Arithmetic:
    """Evaluate a program primitive by primitive; a subclass says what changes.

    Only values that depend on an argument change, in a way that no random draw decides. All others, such as draws, are
    computed as JAX computes them; so is what decides something from integers alone, see `_deciding`. A value is let go
    after its last use, so that a program which is not compiled as a whole needs no more memory than one that is.
    """

    def wide(self, dtype: Any) -> Any:
        """Return the dtype that stands for `dtype`."""
        return dtype

    def rounded(self, equation: Any, operands: Sequence[Any], results: Sequence[Any]) -> Sequence[Any]:
        """Return what the results of an equation become."""
        return results

    def within(self) -> Arithmetic:
        """Return the arithmetic for a program within this one, such as the body of a loop."""
        return type(self)()

    def evaluate(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Return the results of the program for `arguments`."""
        return [self.cast(value) for value, _ in self._run(jaxpr, consts, [(a, True) for a in arguments])]

    def _run(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
        values: dict[Any, Value] = {v: (c, False) for v, c in zip(jaxpr.constvars, consts, strict=True)}
        values.update(zip(jaxpr.invars, arguments, strict=True))
        last, deciding = _last_uses(jaxpr), _deciding(jaxpr)

        def read(atom: Any) -> Value:
            return (np.asarray(atom.val, atom.aval.dtype), False) if hasattr(atom, "val") else values[atom]

        for index, equation in enumerate(jaxpr.eqns):
            operands = [read(atom) for atom in equation.invars]
            if deciding.issuperset(equation.outvars):
                operands = [(value, False) for value, _ in operands]
            results = self._step(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
            for variable in last[index]:
                del values[variable]
        return [read(atom) for atom in jaxpr.outvars]

    def _step(self, equation: Any, operands: list[Value]) -> Sequence[Value]:
        primitive, params = equation.primitive, equation.params
        if primitive.name in CALLS:
            inner = params[CALLS[primitive.name]]
            return self._run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands)
        if primitive.name == "custom_linear_solve":
            return self._solve(params, operands)
        values = [value for value, _ in operands]
        if primitive.name in DRAWS or not any(changes for _, changes in operands):
            return [(result, False) for result in _bound(primitive, values, params)]
        values = [self.cast(value) for value in values]
        if primitive.name in CONTROL and not params.get("branches_platforms"):
            results = self._controlled(equation, values)
        else:
            results = self.rounded(equation, values, self._apply(equation, values))
        return [(result, True) for result in results]

    def _controlled(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        """Return the results of a loop or a branch."""
        found: Sequence[Any] = getattr(self, CONTROL[equation.primitive.name])(equation.params, operands)
        return found

    def _solve(self, params: Any, operands: list[Value]) -> Sequence[Value]:
        """Return the solution of a linear system by its own program: its rule for gradients has done its part."""
        lengths, programs = params["const_lengths"], params["jaxprs"]
        start = lengths.matvec + lengths.vecmat
        constants, sides = operands[start : start + lengths.solve], operands[sum(lengths) :]
        return self._run(programs.solve.jaxpr, programs.solve.consts, [*constants, *sides])

    def _scan(self, params: Any, operands: list[Any]) -> Sequence[Any]:
        constants, carried = _lengths(params)
        consts, first, rows = operands[:constants], operands[constants:][:carried], operands[constants + carried :]

        def body(carry: Any, row: Any) -> Any:
            found = self._evaluate_within(params["jaxpr"], [*consts, *carry, *row])
            return found[:carried], found[carried:]

        last, stacked = lax.scan(
            body, first, rows, params["length"], reverse=params["reverse"], unroll=params.get("unroll", 1)
        )
        return [*last, *stacked]

    def _while(self, params: Any, operands: list[Any]) -> Sequence[Any]:
        of_condition, of_body = params["cond_nconsts"], params["body_nconsts"]
        condition, body = operands[:of_condition], operands[of_condition:][:of_body]
        found: Sequence[Any] = lax.while_loop(
            lambda carry: self._evaluate_within(params["cond_jaxpr"], [*condition, *carry])[0],
            lambda carry: self._evaluate_within(params["body_jaxpr"], [*body, *carry]),
            operands[of_condition + of_body :],
        )
        return found

    def _cond(self, params: Any, operands: list[Any]) -> Sequence[Any]:
        index, *rest = operands
        branches = [lambda *flat, b=branch: self._evaluate_within(b, flat) for branch in params["branches"]]
        found: Sequence[Any] = lax.switch(index, branches, *rest)
        return found

    def _evaluate_within(self, program: Any, arguments: Sequence[Any]) -> list[Any]:
        return self.within().evaluate(program.jaxpr, program.consts, arguments)

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        primitive, params = equation.primitive, equation.params
        name = primitive.name
        if "callback" in name:
            raise CaseError(f"the primitive {name} calls back into Python, which cannot be replayed. Remove it.")
        if name in _IN_FLOAT32:
            operands = [_to(value, atom.aval.dtype) for value, atom in zip(operands, equation.invars, strict=True)]
            return [self.cast(result) for result in _bound(primitive, operands, params)]
        return _bound(primitive, operands, {key: self._param(value) for key, value in params.items()})

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

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        return operands if equation.primitive.name == "reduce_precision" else super()._apply(equation, operands)


def _last_uses(jaxpr: Any) -> list[set[Any]]:
    """Return the variables that no later equation needs, by equation."""
    needed = {atom for atom in jaxpr.outvars if not hasattr(atom, "val")}
    found = []
    for equation in reversed(jaxpr.eqns):
        used = {a for a in (*equation.invars, *equation.outvars) if not hasattr(a, "val")} - needed
        needed |= used
        found.append(used)
    return found[::-1]


def _lengths(params: Any) -> tuple[int, int]:
    """Return how many operands of a scan are constants, and how many it carries."""
    if "ft_in" in params:  # since jax 0.12
        constants, carried, _ = params["ft_in"].unpack()
        return len(constants), len(carried)
    return params["num_consts"], params["num_carry"]


CONTROL = {"scan": "_scan", "while": "_while", "cond": "_cond"}
"""The primitives whose programs are evaluated in the same arithmetic, and the methods that do."""
_DISCRETE = {
    "argmax", "argmin", "ceil", "cond", "eq", "floor", "ge", "gt", "is_finite", "le", "lt", "ne", "rem", "round",
    "scan", "sign", "sort", "top_k", "while", *CALLS,
}  # fmt: skip
"""The primitives whose result jumps, or that may have such ones within. A conversion to integers does, too."""


def _deciding(jaxpr: Any) -> set[Any]:
    """Return the floats that integers alone make and that decide something, such as the bucket of a distance.

    Whole numbers often lie at the boundary of a bucket, and there float64 and float32 decide differently.
    """
    made: set[Any] = set()  # of integers
    floating = {v for v in jaxpr.invars if _floating(v)}  # and what depends on floats that are arguments
    for equation in jaxpr.eqns:
        variables = [atom for atom in equation.invars if not hasattr(atom, "val")]
        if floating.intersection(variables):
            floating.update(equation.outvars)
        elif equation.primitive.name not in DRAWS:
            made.update(v for v in equation.outvars if _floating(v))
    deciding: set[Any] = set()
    for equation in reversed(jaxpr.eqns):
        to_integers = not any(map(_floating, equation.outvars))
        jumps = to_integers or equation.primitive.name in _DISCRETE
        if jumps or deciding.intersection(equation.outvars):
            deciding.update(made.intersection(atom for atom in equation.invars if not hasattr(atom, "val")))
        if jumps and made.intersection(equation.outvars):
            deciding.update(made.intersection(equation.outvars))
    return deciding


def _floating(variable: Any) -> bool:
    return bool(jax.numpy.issubdtype(variable.aval.dtype, np.inexact))


def _bound(primitive: Any, operands: Sequence[Any], params: Any) -> Sequence[Any]:
    """Return the results of a primitive; some, such as that of `shard_map`, take a function of their parameters."""
    own = primitive.get_bind_params(params)
    functions, params = own if isinstance(own, tuple) else ([], own)  # a tuple in older releases of jax
    results = primitive.bind(*functions, *operands, **params)
    found: Sequence[Any] = results if primitive.multiple_results else [results]
    return found


def _to(array: Any, dtype: Any) -> Any:
    return array if array.dtype == dtype else array.astype(dtype)
