"""What a run ran on: versions and machine."""

from __future__ import annotations

import os
import platform
import re
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

_VIRTUAL = "xla_force_host_platform_device_count"
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_FREQUENCY = "/sys/devices/system/cpu/cpu{cpu}/cpufreq"


def versions() -> dict[str, str | None]:
    """The installed version of every package that can move a result; None where it is not installed."""
    return {name: _version(name, *_ALSO_AS.get(name, ())) for name in PACKAGES}


def installed() -> dict[str, str]:
    """The version of every distribution that is installed, by its normalised name; no folder and no origin."""
    found = ((d.metadata["Name"], d.version) for d in metadata.distributions())
    return dict(sorted((re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found if name))


def _version(*names: str) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def cores() -> int:
    """How many CPUs this process may use."""
    return len(_affinity()) or os.cpu_count() or 1


def _affinity() -> list[int]:
    """The CPUs that this process may use; empty where the system does not tell."""
    ask = getattr(os, "sched_getaffinity", None)
    return sorted(ask(0)) if ask else []


def machine() -> dict[str, Any]:
    """What of the machine moves bits and speed; no name of a host or user.

    `governor` and `min_mhz` to `max_mhz` are what the system says of the first CPU that may be used, None where it says
    nothing, as in most virtual machines; `load` is the mean number of tasks that wanted a CPU in the last minute, and
    `flags` are what the environment tells XLA, OpenMP and TensorFlow.
    """
    cpu, affinity = _cpuinfo(), _affinity()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cpu": cpu.get("model name") or platform.processor() or "unknown",
        "cores": cores(),
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
        "affinity": affinity,
        **_frequency(affinity[0] if affinity else 0),
        "memory_bytes": _memory_bytes(),
        "load": load(),
        "flags": _flags(),
    }


def load() -> float | None:
    """The mean number of tasks that wanted a CPU in the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _flags() -> list[str]:
    """What in the environment tells XLA, OpenMP and TensorFlow how to compute; no path, and no virtual device."""
    xla = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "/" not in flag and _VIRTUAL not in flag]
    return sorted(xla) + [f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ]


def _frequency(cpu: int) -> dict[str, Any]:
    folder = Path(_FREQUENCY.format(cpu=cpu))

    def told(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    khz = [told(f"cpuinfo_{end}_freq") for end in ("min", "max")]
    low, high = (int(text) // 1000 if text and text.isdecimal() else None for text in khz)
    return {"governor": told("scaling_governor"), "min_mhz": low, "max_mhz": high}


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}
