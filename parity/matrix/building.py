"""Installing the releases of a cell into this environment, so that a resolver's no is an answer like any other.

tox builds the environment; the releases come in by uv from inside it, because tox itself would drop an environment
that cannot be resolved, and with it the reason.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib import metadata

from packaging.requirements import Requirement

from parity.cells import VERIFY, Cell
from parity.failures import RESOLVER, UNKNOWN, Failure

WITH_JAX = ("flax>=0.8", "optax>=0.2", "scikit-learn>=1.4")


def requirements(cell: Cell) -> list[str]:
    """What a cell installs; a release that it does not name is the resolver's choice."""
    # On Linux x86-64 tensorflow-cpu is the same release without CUDA, a third of the size.
    small = sys.platform == "linux" and platform.machine() == "x86_64"
    tensorflow = _pinned("tensorflow-cpu" if small else "tensorflow", cell.tensorflow)
    if cell.role == VERIFY:
        return [tensorflow]
    return [_pinned("jax", cell.jax), tensorflow, *WITH_JAX]


def _pinned(package: str, release: str | None) -> str:
    return f"{package}=={release}" if release else package


def install(cell: Cell) -> Failure | None:
    """Install the cell's releases beside parity; why that cannot be done, if it cannot."""
    from uv import find_uv_bin

    command = [find_uv_bin(), "pip", "install", "--python", sys.executable, *requirements(cell), *_own()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    _, no, why = said.partition("No solution found when resolving dependencies")
    if no:
        return Failure(RESOLVER, _sentence(why))
    return Failure(UNKNOWN, f"the releases could not be installed: {_sentence(said)[-500:]}")


def _sentence(text: str) -> str:
    """The resolver draws its reasons as a tree over several lines."""
    return " ".join(re.sub("╰─▶|cause:", " ", text).split()).lstrip(": ")


def _own() -> list[str]:
    """The requirements of parity itself, so that nothing it needs is moved out of reach."""
    own = [Requirement(text) for text in metadata.requires("parity") or ()]
    wanted = [r for r in own if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in _EXTRAS)]
    return [f"{r.name}{r.specifier}" for r in wanted]


_EXTRAS = ("", "report", "test")
