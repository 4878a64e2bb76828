"""What a run ran on: versions, machine, and the handshake between JAX's writer and TensorFlow's reader."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "tensorflow", "keras", "numpy", "ml-dtypes", "scipy", "scikit-learn",
    "protobuf", "pytest", "pytest-benchmark",
)  # fmt: skip
_ALSO_AS = {"tensorflow": ("tensorflow-cpu",)}
# What decides which kernels a CPU runs, and so the last bits of a result.
_INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")


def versions() -> dict[str, str | None]:
    """The installed version of every package that can move a result; None where it is not installed."""
    return {name: _version(name, *_ALSO_AS.get(name, ())) for name in PACKAGES}


def _version(*names: str) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def machine() -> dict[str, Any]:
    """What of the machine moves bits and speed; no name of a host or user."""
    cpu = _cpuinfo()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cpu": cpu.get("model name") or platform.processor() or "unknown",
        "cores": len(affinity(0)) if affinity else os.cpu_count() or 1,
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
    }


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


@dataclass(frozen=True)
class Writer:
    """What JAX writes: the StableHLO version of a serialised program, and the calling convention."""

    stablehlo: str
    calling_convention: int


@dataclass(frozen=True)
class Reader:
    """What TensorFlow reads: the newest StableHLO version and calling convention; None where it does not say."""

    stablehlo: str | None
    calling_convention: int | None


WILL_WORK = "will work"
MAY_BREAK = "may break"
WILL_BREAK = "will break"


def foresee(writer: Writer, reader: Reader) -> tuple[str, str]:
    """What follows from the handshake: a prediction, and the reason in a sentence.

    A newer StableHLO only *may* break: a program that uses no newer operation loads all the same.
    """
    if reader.calling_convention is not None and writer.calling_convention > reader.calling_convention:
        return WILL_BREAK, (
            f"JAX writes calling convention {writer.calling_convention}, TensorFlow accepts up to "
            f"{reader.calling_convention}: every call of an exported model fails."
        )
    if reader.stablehlo is None or reader.calling_convention is None:
        return MAY_BREAK, "This TensorFlow does not say what it reads; only a call decides."
    if _parts(writer.stablehlo) > _parts(reader.stablehlo):
        return MAY_BREAK, (
            f"JAX writes StableHLO {writer.stablehlo}, TensorFlow reads up to {reader.stablehlo}: a model loads "
            "as long as its program uses no newer operation, and the first call decides."
        )
    return WILL_WORK, (
        f"TensorFlow reads StableHLO up to {reader.stablehlo}, JAX writes {writer.stablehlo}; "
        f"calling convention {writer.calling_convention} is accepted."
    )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
