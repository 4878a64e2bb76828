"""Parity tests for models trained in JAX and shipped in TensorFlow."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`parity.remedies`, which imports jax when it is used."""
    if name == "remedies":
        return importlib.import_module("parity.remedies")
    raise AttributeError(f"module 'parity' has no attribute {name!r}")
