"""A program evaluated operation by operation, each compiled with what another arithmetic does to its results.

Compiled as a whole, a program takes longer than a few evaluations are worth; here equal operations share a program.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from parity.scoring.arithmetic import CALLS, CONTROL, DRAWS, Arithmetic, Value

MOST_PROGRAMS = 512
"""Compiled operations that are kept for other programs; each takes about 1.5 MiB (jax 0.10.2, CPU)."""
FEW_NUMBERS = 1 << 16
"""Elements of an array below which an operation is not worth LLVM's optimisation, which makes it 4 times as fast."""
# Measured on operations of the reference (jax 0.10.2, CPU): emitters of fusions by MLIR make an elementwise one take
# 78 ms instead of 32, LLVM in several parts and optimising 49 instead of 34. Whole programs they may make faster.
_SHORT: dict[str, Any] = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_allow_excess_precision": False,
}
_LEVEL = {"xla_backend_optimization_level": 0}


class Kind(Protocol):
    """An arithmetic without a seed; hashable."""

    def __call__(self, seed: Any, start: Any) -> Arithmetic:
        """Return the arithmetic for one operation; `seed` and `start`, its place in the program, are uint32."""

    def reads(self, equation: Any) -> Hashable:
        """Return what the arithmetic reads of an operation beside its primitive, parameters and shapes."""


class OneByOne(Arithmetic):
    """Evaluate every operation, loop or branch by a compiled program of its own.

    Args:
        kind: the arithmetic.
        seed: uint32.
        programs: keeps what the operations of one program are compiled to, for evaluations with other seeds.
    """

    def __init__(self, kind: Kind, seed: Any, programs: dict[Any, Callable[..., Any]]) -> None:
        self._kind, self._seed, self._programs, self._places = kind, seed, programs, itertools.count(1)

    def _step(self, equation: Any, operands: list[Value]) -> Sequence[Value]:
        name = equation.primitive.name
        if name in CALLS or name == "custom_linear_solve":
            return super()._step(equation, operands)
        values, changes = [value for value, _ in operands], tuple(moves for _, moves in operands)
        if (id(equation), changes) not in self._programs:
            self._programs[id(equation), changes] = _compiled(_Operation(self._kind, equation, changes))
        start = np.uint32(next(self._places) << 16 & 0xFFFFFFFF)
        results = self._programs[id(equation), changes](self._seed, start, *values)
        return [(result, name not in DRAWS and any(changes)) for result in results]


class _Operation:
    """An operation in an arithmetic; equal ones compute the same of the same operands."""

    def __init__(self, kind: Kind, equation: Any, changes: tuple[bool, ...]) -> None:
        self.kind, self.equation, self.changes = kind, equation, changes
        shapes = tuple((atom.aval.shape, atom.aval.dtype) for atom in (*equation.invars, *equation.outvars))
        of_kind = kind, kind.reads(equation)
        self._key: Hashable = (*of_kind, equation.primitive, *equation.params.items(), shapes, changes)
        try:
            self._hash = hash(self._key)
        except TypeError:  # a parameter that is a list or an array
            self._key, self._hash = id(self), id(self)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Operation) and self._key == other._key)

    def evaluate(self, seed: Any, start: Any, *values: Any) -> list[Any]:
        """Return the results for operands `values`."""
        arithmetic = self.kind(seed, start)
        return [result for result, _ in arithmetic._step(self.equation, list(zip(values, self.changes, strict=True)))]


@functools.lru_cache(maxsize=MOST_PROGRAMS)
def _compiled(operation: _Operation) -> Callable[..., Any]:
    equation = operation.equation
    if equation.primitive.name in CONTROL or "compiler_options" not in inspect.signature(jax.jit).parameters:
        return jax.jit(operation.evaluate)
    sizes = [math.prod(atom.aval.shape) for atom in (*equation.invars, *equation.outvars)]
    few = max(sizes, default=0) < FEW_NUMBERS
    return jax.jit(operation.evaluate, compiler_options=_known() | (_LEVEL if few else {}))


def forget() -> None:
    """Let go every compiled operation that no program holds."""
    _compiled.cache_clear()


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
