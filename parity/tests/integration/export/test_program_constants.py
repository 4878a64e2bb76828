"""The constants of exported programs are found with their size, complex ones too."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import export

from parity.export.conversion import program_constants

TABLES = {
    "float32": (np.arange(7, dtype=np.float32), 28),
    "bool": (np.arange(9) % 2 == 0, 9),
    "bfloat16": (np.arange(6).astype(ml_dtypes.bfloat16), 12),
    "complex64": (np.arange(5) * np.complex64(1 + 2j), 40),
    "a large complex64": (np.arange(5000) * np.complex64(1 + 2j), 40_000),
    "one value": (np.full(11, 3, np.float32), None),
    "one complex value": (np.full(11, 1 + 2j, np.complex64), None),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_constant_has_its_size(name):
    table, size = TABLES[name]
    with jax.ensure_compile_time_eval():
        program = export.export(jax.jit(lambda x: (x, jnp.asarray(table))))(jax.ShapeDtypeStruct((2,), np.float32))
    found = program_constants(program.mlir_module_serialized)
    assert found == ([] if size is None else [(f"{jnp.asarray(table).dtype.name}[{len(table)}]", size)])
