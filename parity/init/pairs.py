"""The pair of releases that a project uses, and the newest pair that its requirements allow."""

from __future__ import annotations

import tempfile
from pathlib import Path

from parity.core import environment
from parity.core.errors import NotComparableError
from parity.core.failures import RESOLVER
from parity.matrix import installation, resolving
from parity.matrix.project import Project
from parity.matrix.tox import has_python
from parity.records.cells import LATEST, Cell
from parity.upgrade.pairs import JAX, TENSORFLOW, Pair
from parity.upgrade.runner import PYTHONS, choose_python, why_uninstallable


def in_use(project: Project) -> Pair | None:
    """Return the pair that the project pins or locks, else the installed one; None where there is none."""
    installed = environment.versions()
    jax, tensorflow = (project.pinned.get(name) or installed[name] for name in (JAX, TENSORFLOW))
    return Pair(jax, tensorflow) if jax and tensorflow else None


def newest(project: Project, python: str) -> Pair:
    """Return the newest pair that can be installed on that Python beside what the project requires.

    Raises:
        UsageError: uv is not installed.
        NotComparableError: the requirements cannot be resolved, or the index is out of reach.
    """
    cell = Cell.parse(LATEST)
    with tempfile.TemporaryDirectory(prefix="parity-init-") as folder:
        required = installation.required(cell, project)
        arguments = resolving.write(Path(folder), required, project.constraints, project)
        done = resolving.processes.run([*installation.compile_command(python), *arguments])
        refused = installation.refusal(done.returncode, done.stderr)
        if refused is None:
            pins = (line.partition("==") for line in (Path(folder) / resolving.RESOLVED).read_text().splitlines())
            found = {name.partition("[")[0]: release for name, _, release in pins}
            return Pair(found["jax"], found.get("tensorflow-cpu") or found["tensorflow"])
    refused = resolving.explained(refused, cell, project, python)
    helps = "Correct that" if refused.failure == RESOLVER else "Run this again when it is there"
    raise NotComparableError(
        f"the newest pair on Python {python} is not known: {refused.evidence}. {helps}, or name both pairs: "
        "parity init --from 'jax==0.9.2 tensorflow==2.20.0' --to 'jax==0.10.2 tensorflow==2.21.0' --python 3.12."
    )


def cell_of(pair: Pair, project: Project, python: str, named: bool) -> str:
    """Return the name of the cell of `pair` on `python`, or on another Python of this machine that can install it.

    A Python that the user has `named` is taken as it is.

    Raises:
        UsageError: there is no Python that parity supports.
        NotComparableError: the resolver could not decide.
    """
    if named or (python in PYTHONS and has_python(python) and not why_uninstallable(pair, python, project)):
        return pair.cell(python)
    return pair.cell(choose_python([pair], {pair: []}, None, project)[0])
