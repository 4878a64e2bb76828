"""What this JAX writes. `python -m parity.writer` prints it as JSON, for `parity doctor`."""

from __future__ import annotations

import json
import re

import jax
import numpy as np

from parity.environment import Writer


def describe() -> Writer:
    """The StableHLO version and the calling convention of an exported program, read from a program just exported."""
    from jax import export

    exported = export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((1,), np.float32))
    # The portable artifact names its version as the producer, at its start.
    found = re.search(rb"StableHLO_v(\d+\.\d+\.\d+)", exported.mlir_module_serialized)
    return Writer(found.group(1).decode() if found else "0.0.0", exported.calling_convention_version)


if __name__ == "__main__":
    print(json.dumps(vars(describe())))
