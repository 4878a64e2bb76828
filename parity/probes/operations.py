"""Single operations that are known to be trouble between JAX and TensorFlow, beside some that are none.

A case fails at the first operation that TensorFlow cannot run, or never meets the one that it cannot. Here each is
converted, called and scored alone, as exported by default and then with the remedy: what fails then, no remedy mends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

from parity import records
from parity.cases.specs import Answer
from parity.compat.remedies import readable_by
from parity.core.errors import ParityError
from parity.core.failures import REMEDIABLE, of
from parity.export.artifact import graph
from parity.export.conversion import without_source_locations
from parity.probes.declaration import Probe, Scope
from parity.records import PlanItem
from parity.runtimes.base import CASE, GRAPH
from parity.scoring import rules
from parity.scoring.arithmetic import in_float64
from parity.scoring.rounding import with_rounding
from parity.scoring.rules import Ensemble, LeafResult


@dataclass(frozen=True)
class Operation:
    """A function of one float32 array, and the shape of the array that it is asked about.

    `symbolic_batch`: converted for any size of the first dimension.
    """

    function: Callable[[Any], Any]
    shape: tuple[int, ...]
    symbolic_batch: bool = False


def _definite(x: Any) -> Any:
    """Return a symmetric matrix with eigenvalues of 1 and above."""
    return x @ x.T + jnp.eye(len(x), dtype=x.dtype)


def _triangle(x: Any) -> Any:
    """R of a QR decomposition.

    Q and R are determined up to the signs of R's rows; with a positive diagonal R is unique.
    """
    r = jnp.linalg.qr(x, mode="r")
    return r * jnp.sign(jnp.diagonal(r))[:, None]


# The input is not symmetric positive definite, so the function makes it so. A Cholesky factor, which has a positive
# diagonal, and eigenvalues in ascending order are unique; eigenvectors are not, and are left out.
_MATRIX = {
    "cholesky": lambda x: jnp.linalg.cholesky(_definite(x)),
    "qr": _triangle,
    "eigh": lambda x: jnp.linalg.eigh(_definite(x))[0],
}
_ROWS = {
    "erf": jax.scipy.special.erf,
    "gelu": jax.nn.gelu,
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "sinh": jnp.sinh,
    "top_k": lambda x: jax.lax.top_k(x, 3)[0],
    # Those that work wherever a pair works at all.
    "cumsum": lambda x: jnp.cumsum(x, axis=-1),
    "matmul": lambda x: x @ x.T,
    "softmax": jax.nn.softmax,
}
OPERATIONS = {
    **{name: Operation(function, (6, 6)) for name, function in _MATRIX.items()},
    **{name: Operation(function, (6, 8)) for name, function in _ROWS.items()},
    **{f"{name}_symbolic_batch": Operation(function, (6, 8), True) for name, function in _ROWS.items()},
}
"""By name."""


def result(name: str, tensorflow: str) -> LeafResult:
    """Return the result on an operation, with the remedy where that is called for.

    Where the default export fails in a way that a remedy may mend, the operation is exported again, readable by
    release `tensorflow`. If it then passes it is `REMEDIED`, with the failure of the default export; if not, the
    result is that of the second export: what no remedy mends.
    """
    found = judge(name)
    return _mended(found, f"tensorflow=={tensorflow}") if found.failure in REMEDIABLE else found


def _mended(default: LeafResult, requirement: str) -> LeafResult:
    before = f"as exported by default: {default.failure}: {default.evidence}"
    try:
        found = judge(default.leaf, requirement)
    except ParityError as error:
        return replace(default, message=f"{default.message}; no remedy: {error}")
    if found.status == records.PASS:
        return replace(
            found,
            status=records.REMEDIED,
            failure=default.failure,
            evidence=default.evidence,
            message=f"passes readable by {requirement}; {before}",
        )
    return replace(found, message=f"{found.message}; {before}")


def judge(name: str, remedy: str | None = None) -> LeafResult:
    """Return the result on an operation: TensorFlow's answer, judged as every answer is.

    Args:
        name: of `OPERATIONS`.
        remedy: what the export is to be readable by, such as `tensorflow==2.21.0`; None for the default export.

    Raises:
        UsageError: `remedy` names no release that is known.
        RemedyError: the remedy does not fit this jax.
    """
    operation = OPERATIONS[name]
    jax_answer, oracle, budgets = _expected(operation.function, operation.shape)
    with readable_by(remedy) if remedy else nullcontext():
        try:
            answer = _named(_in_tensorflow(operation))
        except Exception as error:
            failure = of(error)
            return LeafResult(
                name, records.ERROR, failure=failure.kind, evidence=failure.evidence, message=failure.cause
            )
    [found] = rules.judge(answer, jax_answer, oracle, budgets, rules.LIMIT)
    return rules.renamed(found, name)


def _in_tensorflow(operation: Operation) -> Any:
    from jax.experimental import jax2tf

    without_source_locations()
    polymorphic, batch = ("(b, ...)", None) if operation.symbolic_batch else (None, operation.shape[0])
    converted = jax2tf.convert(operation.function, polymorphic_shapes=[polymorphic], with_gradient=False)
    called = graph(converted, [tf.TensorSpec((batch, *operation.shape[1:]), tf.float32)])
    return called(tf.constant(_input(operation.shape)))


@cache
def _expected(function: Callable[[Any], Any], shape: tuple[int, ...]) -> tuple[Answer, Answer, dict[str, Any]]:
    """JAX's answer, the oracle and the budgets; the same for every way to convert the function."""
    array = _input(shape)
    oracle, rounded = _named(in_float64(function, array)(array)), with_rounding(function, array)
    ensemble = Ensemble(oracle)
    for member in range(rules.MEMBERS):
        ensemble.add(_named(rounded(member, array)))
    source = f"{rules.MEMBERS} float32 evaluations, jax {jax.__version__}; {rules.AT_RANDOM}"
    return _named(jax.jit(function)(array)), oracle, ensemble.budgets(source)


def _input(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _named(result: Any) -> Answer:
    return {"": np.asarray(result)}


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.having(lambda can: (can.source, can.mode) == (CASE, GRAPH))[:1]:
        for name, operation in OPERATIONS.items():
            yield scope.item(
                probe.name, probe.name, runtime, operation.shape[0], variant=name, ident=name, case=probe.name
            )  # fmt: skip


PROBE = Probe(name="operations", plan=_plan, about_pair=True)
