"""Parity tests for models trained in JAX and shipped in TensorFlow."""

__version__ = "0.1.0"
