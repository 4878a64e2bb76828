"""What this JAX writes. `python -m parity.writer CASE STABLEHLO` prints it as JSON, for `parity doctor`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import export

from parity.case import Case, load
from parity.handshake import Reader, Writer, skewed
from parity.specs import BATCH, Spec, Specs, by_name, like


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
    for program in _programs(case):
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


def _programs(case: Case) -> Iterator[Any]:
    """What conversion would export: predictions, and the loss with its gradient."""
    params, other = case.init(jax.random.PRNGKey(case.training.seed))
    size = export.symbolic_shape(BATCH)[0]
    state = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), (params, other))
    data, labels = (_shapes(specs, size) for specs in (case.data, case.labels))
    yield export.export(jax.jit(case.predict))(state, data)
    key, train = jax.ShapeDtypeStruct((2,), np.uint32), jax.ShapeDtypeStruct((), np.bool_)
    loss = export.export(jax.jit(traced_loss(case)))(*state, key, data, labels, train)
    yield loss
    yield loss.vjp()


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
