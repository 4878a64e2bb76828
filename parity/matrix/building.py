"""Installing the releases of a cell into this environment, so that a resolver's no is an answer like any other.

tox builds the environment; the releases come in by uv from inside it, because tox itself would drop an environment
that cannot be resolved, and with it the reason.
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import replace
from importlib import metadata

from packaging.requirements import Requirement

from parity import records
from parity.core import environment
from parity.core.errors import UsageError
from parity.core.failures import RESOLVER, UNKNOWN, headline
from parity.matrix.supervising import Ended, cut_short
from parity.records import MISSING, Stopped
from parity.records.cells import LATEST, VERIFY, Cell

WITH_JAX = ("flax>=0.8", "optax>=0.2", "scikit-learn>=1.4")
LONGEST = 1000
"""Characters of a resolver's reasons."""


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


def uv() -> str:
    """The path of uv.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from uv import find_uv_bin

        path: str = find_uv_bin()
        return path
    except (ImportError, FileNotFoundError) as error:
        raise UsageError(f"uv is not installed ({error}). Install it: pip install 'parity[cell]'") from None


def installing(cell: Cell) -> list[str]:
    """The command that installs the cell's releases beside parity, into this interpreter's environment."""
    newest = ["--upgrade"] if cell.name == LATEST else []  # what is there may be the newest of another day
    return [*_installing(), *newest, *wanted(cell)]


def _installing() -> list[str]:
    return [uv(), "pip", "install", "--python", sys.executable, "--color", "never", "--no-progress"]


def installing_keras2() -> list[str]:
    """The command that installs Keras 2 for the installed TensorFlow; it fails where there is no such release.

    Without its requirements: it asks for the package tensorflow, which may be here as tensorflow-cpu.
    """
    line = ".".join(str(environment.versions()["tensorflow"]).split(".")[:2])
    return [*_installing(), "--no-deps", f"tf_keras=={line}.*"]


def wanted(cell: Cell) -> list[str]:
    """What a cell installs, and what parity itself needs beside it."""
    return [*requirements(cell), *_own()]


def refused(ended: Ended, time_limit_s: float) -> Stopped | None:
    """What stops a cell whose `installing` ended so: a resolver's no is an answer; all else is to be tried again."""
    if cut := cut_short(ended, time_limit_s):
        return replace(cut, status=MISSING)
    if ended.code == 0:
        return None
    _, no, why = ended.log.partition("No solution found when resolving dependencies")
    reasons = _sentence(why.partition("\nhint:")[0])
    if no and not re.search(_NOWHERE, why):
        return Stopped(records.ERROR, RESOLVER, reasons if len(reasons) <= LONGEST else f"{reasons[: LONGEST - 1]}…")
    reasons = reasons or _sentence(ended.log.partition("error: ")[2] or ended.log)
    return Stopped(MISSING, UNKNOWN, headline(f"the releases could not be installed: {reasons}"))


# What is nowhere was misspelt, or the index or the way to it is closed: that says nothing about the pair.
_NOWHERE = r"was not found in the|network was disabled|there is no version of (?:jax|tensorflow)\b"


def _sentence(text: str) -> str:
    """The words of uv, which gives its reasons as a tree over several lines, without where it looked."""
    return " ".join(re.sub(r"╰─▶|├─▶|cause:|\(?\b\w+://\S+", " ", text).split()).lstrip(": ")


def _own() -> list[str]:
    """The requirements of parity itself, so that nothing it needs is moved out of reach."""
    own = [Requirement(text) for text in metadata.requires("parity") or ()]
    wanted = [r for r in own if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in _EXTRAS)]
    return [f"{r.name}{r.specifier}" for r in wanted]


_EXTRAS = ("", "report", "test")
