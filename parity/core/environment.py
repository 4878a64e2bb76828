"""The versions and the machine of a run."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "tensorflow", "keras", "numpy", "ml-dtypes", "scipy",
    "protobuf", "pytest", "pytest-benchmark",
)  # fmt: skip
_ALSO_AS = {"tensorflow": ("tensorflow-cpu",)}
# These decide which kernels a CPU runs, and so the last bits of a result.
_INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")

_VIRTUAL = "xla_force_host_platform_device_count"
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_FREQUENCY = "/sys/devices/system/cpu/cpu{cpu}/cpufreq"


def versions() -> dict[str, str | None]:
    """Return the installed version of every package that can change a result; None where it is not installed."""
    return {name: _version(name, *_ALSO_AS.get(name, ())) for name in PACKAGES}


def installed() -> dict[str, str]:
    """Return the version of every installed distribution, by its normalised name."""
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
    """Return how many CPUs this process may use."""
    return len(_affinity()) or os.cpu_count() or 1


def _affinity() -> list[int]:
    """Return the CPUs that this process may use; empty where the system does not say."""
    ask = getattr(os, "sched_getaffinity", None)
    return sorted(ask(0)) if ask else []


def machine() -> dict[str, Any]:
    """Return what of the machine changes bits and speed, without the name of a host or user.

    `governor`, `min_mhz` and `max_mhz` are those of the first CPU that may be used, None where the system says nothing,
    as in most virtual machines. `load` is that of the last minute; `flags` are those of XLA, OpenMP and TensorFlow.
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
    """Return the mean number of tasks that were ready to run in the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _flags() -> list[str]:
    """Return what the environment tells XLA, OpenMP and TensorFlow, without paths and virtual devices."""
    xla = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "/" not in flag and _VIRTUAL not in flag]
    return sorted(xla) + [f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ]


def _frequency(cpu: int) -> dict[str, Any]:
    folder = Path(_FREQUENCY.format(cpu=cpu))

    def read(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    khz = [read(f"cpuinfo_{end}_freq") for end in ("min", "max")]
    low, high = (int(text) // 1000 if text and text.isdecimal() else None for text in khz)
    return {"governor": read("scaling_governor"), "min_mhz": low, "max_mhz": high}


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
