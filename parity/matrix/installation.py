"""The releases of a cell, installed into its environment, so that a resolver's refusal is an answer like any other.

tox makes the environment; uv installs the releases from inside it. tox itself would drop an environment that cannot be
resolved, and with it the reason.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from parity import records
from parity.core import environment
from parity.core.errors import UsageError
from parity.core.failures import RESOLVER, UNKNOWN, headline
from parity.matrix.project import Project, Required
from parity.records import MISSING, Stopped
from parity.records.cells import LATEST, VERIFY, Cell

WITH_JAX = ("flax>=0.8", "optax>=0.2")
NOTHING = Project()
LONGEST = 1000
"""Characters of a resolver's reasons."""
_EXTRAS = ("", "report", "test")


def require_environment_of(name: str) -> None:
    """Check that this interpreter belongs to the tox environment `name`, into which releases may be installed.

    Raises:
        UsageError: it belongs to another environment, or to none that tox made.
    """
    folder = os.environ.get("TOX_ENV_DIR")
    made_for = os.environ.get("TOX_ENV_NAME") if folder and Path(folder).resolve() == Path(sys.prefix).resolve() else ""
    if made_for != name:
        kind = f"is the tox environment {made_for}" if made_for else "is not a tox environment"
        raise UsageError(
            f"{name} would install jax and tensorflow into {sys.prefix}, which {kind}. Expected an environment that "
            f"was made for it: tox run -e {name}. If that is what you want, add --into-this-environment."
        )


def requirements(cell: Cell, project: Project = NOTHING) -> list[str]:
    """Return what a cell installs; the resolver chooses a release that the cell does not name.

    Of jax and tensorflow it has the extras that `project` requires.
    """
    # On Linux x86-64 tensorflow-cpu is the same release without CUDA, a third of the size.
    small = sys.platform == "linux" and platform.machine() == "x86_64" and "tensorflow" not in project.extras
    tensorflow = _pinned("tensorflow-cpu" if small else "tensorflow", cell.tensorflow, project)
    if cell.role == VERIFY:
        return [tensorflow]
    return [_pinned("jax", cell.jax, project), tensorflow, *WITH_JAX]


def _pinned(package: str, release: str | None, project: Project) -> str:
    extras = ",".join(sorted(project.extras.get(package, ())))
    named = f"{package}[{extras}]" if extras else package
    return f"{named}=={release}" if release else named


def required(cell: Cell, project: Project = NOTHING) -> list[Required]:
    """Return what a cell installs, what parity itself needs, so that no install moves that out of range, and a project.

    Each has where it is from.
    """
    own = [Requirement(text) for text in metadata.requires("parity") or ()]
    needed = [r for r in own if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in _EXTRAS)]
    of_the_cell = [Required(text, f"the cell {cell.name}") for text in requirements(cell, project)]
    return [*of_the_cell, *(Required(f"{r.name}{r.specifier}", "parity") for r in needed), *project.requirements]


def all_requirements(cell: Cell, project: Project = NOTHING) -> list[str]:
    """Return the texts of what is `required`."""
    return [requirement.text for requirement in required(cell, project)]


def uv() -> str:
    """Return the path of uv.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from uv import find_uv_bin

        path: str = find_uv_bin()
        return path
    except (ImportError, FileNotFoundError) as error:
        raise UsageError(f"uv is not installed ({error}). Install it: pip install 'parity[cell]'") from None


def install_command(cell: Cell) -> list[str]:
    """Return the command that installs the cell's releases into this interpreter's environment."""
    newest = ["--upgrade"] if cell.name == LATEST else []  # an installed release may no longer be the newest
    return [*_install(), *newest, *all_requirements(cell)]


def compile_command(python: str) -> list[str]:
    """Return the start of the command that resolves requirements for a Python, given by version or path."""
    shown = [  # indexes too, for the install that follows
        "-q",
        "--no-header",
        "--no-annotate",
        "--no-strip-extras",
        "--emit-index-url",
        "--emit-find-links",
        "--color",
        "never",
    ]
    return [uv(), "pip", "compile", *shown, "--python-version" if python[:1].isdigit() else "--python", python]


def resolved_command(resolved: str) -> list[str]:
    """Return the command that installs what the resolver wrote into the file `resolved`."""
    return [*_install(), "--no-deps", "--requirements", resolved]


def packages_command(project: Project) -> list[str]:
    """Return the command that installs the folders of a project as they are, without their requirements."""
    return [*_install(), "--no-deps", *(part for path in project.packages for part in ("--editable", str(path)))]


def keras2_command() -> list[str]:
    """Return the command that installs Keras 2 for the installed TensorFlow; it fails where there is no such release.

    Its requirements are not installed: it requires the package tensorflow, which may be here as tensorflow-cpu.
    """
    line = ".".join(str(environment.versions()["tensorflow"]).split(".")[:2])
    return [*_install(), "--no-deps", f"tf_keras=={line}.*"]


def _install() -> list[str]:
    return [uv(), "pip", "install", "--python", sys.executable, "--color", "never", "--no-progress"]


def refusal(code: int, log: str) -> Stopped | None:
    """Return why an install that ended by itself failed; None where it succeeded.

    A resolver's refusal is an error of the pair. Any other failure says nothing about the pair: it is `missing`.

    Args:
        code: the exit code of uv.
        log: the output of uv.
    """
    if code == 0:
        return None
    _, no_solution, why = log.partition("No solution found when resolving dependencies")
    reasons = _one_sentence(why.partition("\nhint:")[0])
    if no_solution and not re.search(_NOT_FOUND, why):
        return Stopped(records.ERROR, RESOLVER, shortened(reasons))
    if _OUT_OF_REACH.search(log):
        last = headline(_one_sentence(re.split(r"\bcause:", log.partition("\nhint:")[0])[-1]))
        return Stopped(MISSING, UNKNOWN, f"the releases could not be installed: the index is out of reach: {last}")
    reasons = reasons or _one_sentence(log.partition("error: ")[2] or log)
    return Stopped(MISSING, UNKNOWN, headline(f"the releases could not be installed: {reasons}"))


def shortened(text: str) -> str:
    """Return `text` in at most `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


_OUT_OF_REACH = re.compile(r"error sending request|Failed to fetch|dns error|operation timed out", re.IGNORECASE)
# A package is found nowhere where its name is misspelt, or the index cannot be reached.
_NOT_FOUND = r"was not found in the|network was disabled|there is no version of (?:jax|tensorflow)\b"


def _one_sentence(text: str) -> str:
    """Return uv's reasons, a tree over several lines, as one line without addresses."""
    return " ".join(re.sub(r"╰─▶|├─▶|cause:|\(?\b\w+://\S+", " ", text).split()).lstrip(": ")
