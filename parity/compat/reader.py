"""What this TensorFlow reads. `python -m parity.compat.reader` prints it as JSON, for `parity doctor`."""

from __future__ import annotations

import json
from typing import Any

from parity.compat.handshake import Reader


def describe() -> Reader:
    """Return the newest StableHLO version and calling convention; None where this TensorFlow does not say.

    Raises: what TensorFlow raises where it cannot be imported.
    """
    import tensorflow  # noqa: F401

    return Reader(_stablehlo(), _calling_convention())


def _stablehlo() -> str | None:
    try:
        from tensorflow.compiler.mlir.stablehlo import stablehlo
    except ImportError:
        return None
    version: Any = getattr(stablehlo, "get_current_version", lambda: None)()
    return version


def _calling_convention() -> int | None:
    try:
        from tensorflow.compiler.tf2xla.python import xla
    except ImportError:
        return None
    version: Any = getattr(xla, "call_module_maximum_supported_version", lambda: None)()
    return version


if __name__ == "__main__":
    print(json.dumps(vars(describe())))
