"""What the resolver says about a cell beside a project's own requirements, and which of them collide."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import structs

from parity.core import processes
from parity.core.failures import RESOLVER
from parity.matrix import installation
from parity.matrix.project import Project, Required
from parity.records import Stopped
from parity.records.cells import Cell

RESOLVED = "resolved.txt"
"""The file that the resolver writes: what is to be installed, one pin a line."""


def refused(cell: Cell, project: Project, python: str) -> Stopped | None:
    """Return why the cell cannot be installed beside what `project` requires; None if it can.

    Args:
        cell: the releases.
        project: what a user's project requires.
        python: a version such as `3.12`, or the path of an interpreter.

    Raises:
        UsageError: uv is not installed.
        ProcessSilentError: the resolver made no progress.
    """
    done = _resolve(installation.required(cell, project), project.constraints, project, python)
    found = installation.refusal(done.returncode, done.stderr)
    return explained(found, cell, project, python) if found is not None else None


def explained(found: Stopped, cell: Cell, project: Project, python: str) -> Stopped:
    """Return the refusal with the requirements that collide named first, where a project has a part in it."""
    if found.failure != RESOLVER or not project:
        return found
    constraints = set(project.constraints)

    def solvable(some: Sequence[Required]) -> bool:
        needed = [r for r in some if r not in constraints]
        done = _resolve(needed, [r for r in some if r in constraints], project, python)
        stopped = installation.refusal(done.returncode, done.stderr)
        return stopped is None or stopped.failure != RESOLVER

    everything = [*installation.required(cell, project), *project.constraints]
    named = [requirement for requirement in everything if requirement.name in found.evidence]
    colliding = smallest(named, solvable) or smallest(everything, solvable)
    if not colliding:
        return found
    *others, last = map(str, colliding)
    what = f"{', '.join(others)} and {last} cannot be installed together" if others else f"{last} cannot be installed"
    return structs.replace(found, evidence=installation.shortened(f"{what}: {found.evidence}"))


def smallest(requirements: Sequence[Required], solvable: Callable[[Sequence[Required]], bool]) -> list[Required]:
    """Return a smallest set of requirements that collide: without any one of them, the others can be resolved.

    The search is QuickXplain (Junker, AAAI 2004): where k of n requirements collide, about 2 k log(n / k) resolutions.
    """

    def search(background: Sequence[Required], added: bool, among: Sequence[Required]) -> list[Required]:
        if added and not solvable(background):
            return []
        if len(among) == 1:
            return list(among)
        left, right = among[: len(among) // 2], among[len(among) // 2 :]
        of_right = search([*background, *left], bool(left), right)
        of_left = search([*background, *of_right], bool(of_right), left)
        return [*of_left, *of_right]

    return search([], False, requirements) if requirements and not solvable(requirements) else []


def write(folder: Path, required: Sequence[Required], constraints: Sequence[Required], project: Project) -> list[str]:
    """Write the files of a resolution into `folder`, and return the arguments of uv that name them.

    What the lock of the project has is put where the resolver writes: it keeps those releases where it can.
    """
    files = {
        "requirements.in": [*project.options, *(r.text for r in required)],
        "constraints.in": [r.text for r in constraints],
        RESOLVED: [f"{name}=={release}" for name, release in project.locked.items()],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    names = (str(folder / name) for name in files)
    return [next(names), "--constraints", next(names), "--output-file", next(names)]


def _resolve(
    required: Sequence[Required], constraints: Sequence[Required], project: Project, python: str
) -> processes.subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="parity-resolve-") as folder:
        arguments = write(Path(folder), required, constraints, project)
        return processes.run([*installation.compile_command(python), *arguments])
