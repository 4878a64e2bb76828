"""What this JAX writes: the version of its exported programs, and the operations in them.

Programs are taken as `jax.export.Exported`, or as the bytes that it serialises its StableHLO to.
`python -m parity.compat.writer` prints what it writes as JSON, for `parity doctor`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import jax
import numpy as np
from jax import export

from parity.compat.handshake import Writer

_VERSIONED_DIALECTS = ("stablehlo", "func")
"""The dialects whose operations have a versioned form."""


def describe() -> Writer:
    """Return the StableHLO version and the calling convention of a program exported just now."""
    exported = export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((1,), np.float32))
    # The portable artifact names its version as the producer, at its start.
    found = re.search(rb"StableHLO_v(\d+\.\d+\.\d+)", exported.mlir_module_serialized)
    return Writer(found.group(1).decode() if found else "0.0.0", exported.calling_convention_version)


def newer_operations(program: export.Exported, stablehlo: str) -> set[str]:
    """Return the operations of `program` that StableHLO `stablehlo` does not have in the form that JAX writes.

    The program is serialised for the older version as well, and the operations of the two are compared. The names are
    those of a TensorFlow that refuses them: `vhlo.log_v2`.
    """
    return versioned_names(program.mlir_module_serialized) - versioned_names(_serialise(program, stablehlo))


def versioned_names(artifact: bytes) -> set[str]:
    """Return the versioned operations, such as `vhlo.log_v2`, that a serialised program names.

    MLIR's bytecode keeps the names as plain strings.
    """
    return {f"vhlo.{name.decode()}" for name in re.findall(rb"[a-z][a-z_0-9]*_v\d+(?![a-z_0-9])", artifact)}


def _serialise(program: export.Exported, stablehlo: str) -> bytes:
    from jaxlib.mlir.dialects import stablehlo as dialect

    # In jaxlib 0.4.30 the second function takes text; in later ones it takes a module, and the first takes text.
    names = ("serialize_portable_artifact_str", "serialize_portable_artifact")
    serialize = next(getattr(dialect, name) for name in names if hasattr(dialect, name))
    artifact: bytes = serialize(program.mlir_module(), stablehlo)
    return artifact


def operations(artifact: bytes) -> tuple[str, dict[str, int]]:
    """Return the text of a serialised program without source locations, and how often it has each operation.

    Operations go under the names in which they are serialised, such as `vhlo.custom_call_v2`, because a reader knows
    or does not know an operation by its version; an operation without a versioned form keeps its own name.
    """
    from jax._src.interpreters.mlir import make_ir_context

    versioned = {name.removeprefix("vhlo.").rpartition("_v")[0]: name for name in versioned_names(artifact)}
    counts: Counter[str] = Counter()
    with make_ir_context() as context:
        module = deserialise(context, artifact).operation
        for operation in walk(module):
            dialect, _, name = operation.name.partition(".")
            counts[versioned.get(name, operation.name) if dialect in _VERSIONED_DIALECTS else operation.name] += 1
        return module.get_asm(enable_debug_info=False), dict(sorted(counts.items()))


def deserialise(context: Any, artifact: bytes) -> Any:
    """Return the MLIR module of a serialised StableHLO program."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    if hasattr(stablehlo, "deserialize_portable_artifact_str"):
        return stablehlo.deserialize_portable_artifact(context, artifact)
    # In jaxlib 0.4.30 that function ends the process; this one gives text.
    from jaxlib import xla_client

    return ir.Module.parse(xla_client._xla.mlir.deserialize_portable_artifact(artifact))


def walk(operation: Any) -> list[Any]:
    """Return an MLIR operation and all that are nested in it."""
    from jaxlib.mlir import ir

    found: list[Any] = []

    def visit(one: Any) -> Any:
        found.append(one)
        return ir.WalkResult.ADVANCE

    operation.walk(visit)
    return found


if __name__ == "__main__":
    print(json.dumps(vars(describe())))
