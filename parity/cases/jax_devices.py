"""JAX's devices: how many there are, and what they are called."""

from __future__ import annotations

import os
from typing import Any

import jax


def configure_devices(cpus: int) -> None:
    """Give JAX `cpus` virtual CPUs, and keep it from taking all GPU memory, so that TensorFlow can share it.

    Does nothing where JAX has already started; `devices` tells what there is.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        jax.config.update("jax_num_cpu_devices", cpus)
    except AttributeError:  # before jax 0.5
        flag = f"--xla_force_host_platform_device_count={cpus}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    except RuntimeError:
        return  # JAX has started already; a device that is missing is an error where it is used


def devices() -> list[str]:
    """Return the names of JAX's devices, such as `cpu:0`."""
    names = [f"cpu:{i}" for i, _ in enumerate(jax.devices("cpu"))]
    try:
        return names + [f"gpu:{i}" for i, _ in enumerate(jax.devices("gpu"))]
    except RuntimeError:  # how JAX says that there is none
        return names


def device(name: str) -> Any:
    """Return JAX's device of that name."""
    kind, _, index = name.partition(":")
    return jax.devices(kind)[int(index)]
