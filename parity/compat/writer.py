"""What this JAX writes. `python -m parity.compat.writer CASE STABLEHLO` prints it as JSON, for `parity doctor`."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import export

from parity.cases.case import Case, load
from parity.cases.specs import BATCH, Spec, Specs, by_name, like
from parity.compat.handshake import Reader, Writer, skewed
from parity.records import Program


def describe() -> Writer:
    """The StableHLO version and the calling convention of an exported program, read from a program just exported."""
    exported = export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((1,), np.float32))
    # The portable artifact names its version as the producer, at its start.
    found = re.search(rb"StableHLO_v(\d+\.\d+\.\d+)", exported.mlir_module_serialized)
    return Writer(found.group(1).decode() if found else "0.0.0", exported.calling_convention_version)


def newer_operations(case: Case, stablehlo: str) -> list[str]:
    """The operations of the case's programs that StableHLO `stablehlo` does not have in the form JAX writes.

    The programs are exported, not converted; each is serialised as JAX does and for the older version, and the
    operations of the two are compared. The names are those of a TensorFlow that refuses them: `vhlo.log_v2`.
    """
    found: set[bytes] = set()
    for _, program in _exported(case):
        found |= _operations(program.mlir_module_serialized) - _operations(_serialised(program, stablehlo))
    return sorted(f"vhlo.{name.decode()}" for name in found)


def _operations(artifact: bytes) -> set[bytes]:
    """The names of versioned operations, which MLIR's bytecode keeps as plain strings."""
    return set(re.findall(rb"[a-z][a-z_0-9]*_v\d+(?![a-z_0-9])", artifact))


def _serialised(program: Any, stablehlo: str) -> bytes:
    from jaxlib.mlir.dialects import stablehlo as dialect

    known = "serialize_portable_artifact_str" if hasattr(dialect, "serialize_portable_artifact_str") else _BEFORE
    artifact: bytes = getattr(dialect, known)(program.mlir_module(), stablehlo)
    return artifact


# In jaxlib 0.4.30 the function of this name takes text; in later ones it takes a module, and the other takes text.
_BEFORE = "serialize_portable_artifact"


def programs(case: Case) -> list[Program]:
    """What conversion would export of `case`, as this JAX writes it by default.

    The operations are counted under the names in which they are serialised, such as `vhlo.custom_call_v2`, because a
    reader knows or does not know an operation by its version; what is serialised under no such name keeps its own.
    Empty where the case cannot be exported.
    """
    try:
        return [_program(case.name, function, found.mlir_module_serialized) for function, found in _exported(case)]
    except Exception:
        return []  # what is wrong with it is said where it is converted


def _program(case: str, function: str, artifact: bytes) -> Program:
    from jax._src.interpreters.mlir import make_ir_context

    versioned = {name.rpartition(b"_v")[0].decode(): f"vhlo.{name.decode()}" for name in _operations(artifact)}
    counts: Counter[str] = Counter()
    with make_ir_context() as context:
        module = deserialised(context, artifact).operation
        for operation in walked(module):
            dialect, _, name = operation.name.partition(".")
            counts[versioned.get(name, operation.name) if dialect in _SERIALISED else operation.name] += 1
        text = module.get_asm(enable_debug_info=False)
    return Program(case, function, hashlib.sha256(text.encode()).hexdigest(), dict(sorted(counts.items())))


_SERIALISED = ("stablehlo", "func")
"""The dialects whose operations have a versioned form."""


def deserialised(context: Any, artifact: bytes) -> Any:
    """The module that a serialised StableHLO program holds."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    if hasattr(stablehlo, "deserialize_portable_artifact_str"):
        return stablehlo.deserialize_portable_artifact(context, artifact)
    # In jaxlib 0.4.30 that function ends the process; this one gives text.
    from jaxlib import xla_client

    return ir.Module.parse(xla_client._xla.mlir.deserialize_portable_artifact(artifact))


def walked(operation: Any) -> list[Any]:
    """`operation` and all that are nested in it."""
    from jaxlib.mlir import ir

    found: list[Any] = []

    def visit(one: Any) -> Any:
        found.append(one)
        return ir.WalkResult.ADVANCE

    operation.walk(visit)
    return found


def _exported(case: Case) -> Iterator[tuple[str, Any]]:
    """What conversion would export, by name: predictions, and the loss with its gradient."""
    params, other = case.init(jax.random.PRNGKey(case.training.seed))
    size = export.symbolic_shape(BATCH)[0]
    state = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), (params, other))
    data, labels = (_shapes(specs, size) for specs in (case.data, case.labels))
    yield "predict", export.export(jax.jit(case.predict))(state, data)
    key, train = jax.ShapeDtypeStruct((2,), np.uint32), jax.ShapeDtypeStruct((), np.bool_)
    loss = export.export(jax.jit(traced_loss(case)))(*state, key, data, labels, train)
    yield "loss", loss
    yield "gradient", loss.vjp()


def _shapes(specs: Specs, size: Any) -> Any:
    def shape(spec: Spec) -> Any:
        return jax.ShapeDtypeStruct((size, *spec.shape[1:]), np.dtype(spec.dtype))

    return like(specs, {name: shape(spec) for name, spec in by_name(specs).items()})


def traced_loss(case: Case) -> Callable[..., Any]:
    """The loss with `train` as a traced boolean: `-> (loss, new_other_state)`."""

    def loss(params: Any, other: Any, rng: Any, data: Any, labels: Any, train: Any) -> tuple[Any, Any]:
        def branch(flag: bool) -> Callable[[], Any]:
            return lambda: case.loss(params, other, rng, data, labels, flag)

        value, updated = jax.lax.cond(train, branch(True), branch(False))
        return value, updated

    return loss


def newer_for(case: Case, writer: Writer, reader: Reader) -> list[str] | None:
    """`newer_operations` for a reader, where that decides; None where the case cannot be exported."""
    if not skewed(writer, reader) or reader.stablehlo is None:
        return []
    try:
        return newer_operations(case, reader.stablehlo)
    except Exception:
        return None  # what is wrong with the case is said where it is trained


if __name__ == "__main__":
    wrote = describe()
    told = newer_for(load(sys.argv[1]), wrote, Reader(sys.argv[2], None)) if len(sys.argv) > 2 else None
    print(json.dumps({**vars(wrote), "newer": told}))
