"""What a run ran on: versions and machine."""

from __future__ import annotations

import os
import platform
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
