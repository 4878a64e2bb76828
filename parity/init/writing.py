"""The files of parity in a project: rendered from templates, and written all or not at all."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from string import Template

from parity.core import storage
from parity.core.errors import UsageError
from parity.init import pairs
from parity.init.finding import Found, look, repository
from parity.matrix import distribution, settings
from parity.matrix.project import read
from parity.records.cells import LATEST, Cell
from parity.upgrade.pairs import Pair

SKELETON, ISSUES, BASELINES, WHEELS = "parity_case.py", "known_issues.toml", "baselines", "wheels"
WORKFLOWS = Path(".github") / "workflows"
"""Where GitHub looks for workflows, in the root of a repository."""


def begin(
    folder: Path, old: Pair | None = None, new: Pair | None = None, python: str | None = None, tox: str = "tox.ini"
) -> Iterator[str]:
    """Write the files of parity into `folder`, and yield what was done, and what to do next.

    Args:
        folder: of the project.
        old: the pair in use; None for what the project pins, locks or has installed.
        new: the pair to upgrade to; None for the newest.
        python: the Python of both; None for this one where it can install them.
        tox: the name of the tox.ini.

    Raises:
        UsageError: there is a file with another content, and nothing was written; or the project cannot be read.
        NotComparableError: the newest pair is not known.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Expected that of your project.")
    project = read(folder)
    found = look(folder, project)
    _refuse_existing(folder, tox, found)
    here = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    new = new or pairs.newest(project, here)
    old = old or pairs.in_use(project) or new
    cells = [pairs.cell_of(pair, project, here, python is not None) for pair in dict.fromkeys((old, new))]
    files = render(folder, found, [*cells, LATEST], tox)
    for path, content in files.items():
        storage.output_folder((folder / path).parent)
        with storage.replacing(folder / path) as file:
            file.write(content)
        yield f"wrote {path}"
    yield from _next_steps(found, cells, tox)


def render(folder: Path, found: Found, cells: list[str], tox: str = "tox.ini") -> dict[str, bytes]:
    """Return the files of a project by their path in it.

    Args:
        folder: of the project; a wheel of this parity is built in its `.tox`.
        found: what it has.
        cells: of the pair in use, of the newest pair if it is another, and `latest`.
        tox: the name of the tox.ini.
    """
    requirement, wheel = distribution.portable(folder / settings.WORK / WHEELS)
    files = {} if wheel is None else {f"{WHEELS}/{wheel.name}": wheel.read_bytes()}
    of_tox = requirement if wheel is None else f"{{tox_root}}{{/}}{WHEELS}{{/}}{wheel.name}[{distribution.EXTRAS}]"
    of_shell = requirement if wheel is None else f"{WHEELS}/{wheel.name}"
    cases = " ".join(f"--case={shlex.quote(case)}" for case in found.cases or (f"{SKELETON}:case",))
    pythons = dict.fromkeys(f"{Cell.parse(cell).python}" for cell in cells if cell != LATEST)
    texts = {
        tox: settings.text(of_tox, cells, f"{cases} --known-issues={ISSUES}"),
        ISSUES: _template(ISSUES),
        f"{BASELINES}/README.md": _template("baselines.md", cell=cells[0], folder=BASELINES),
        workflow(folder): _template(
            "workflow.yml", tox=tox, parity=of_shell, current=cells[0], cells=_lines("- ", cells, 10),
            pythons=_lines("", pythons, 12), **_place(folder),
        ),
    }  # fmt: skip
    if not found.cases:
        texts[SKELETON] = skeleton(found)
    return {**files, **{path: text.encode() for path, text in texts.items()}}


def workflow(folder: Path) -> str:
    """Return the path of the workflow from `folder`: in the root of its repository, under a name of its own there."""
    within = _within(folder)
    name = "-".join(["parity", *(re.sub(r"[^\w.-]+", "-", part) for part in within.parts)])
    return Path(*[".."] * len(within.parts), WORKFLOWS, f"{name}.yml").as_posix()


def _within(folder: Path) -> Path:
    return folder.resolve().relative_to(repository(folder))


def _place(folder: Path) -> dict[str, str]:
    """Return what a workflow says of a `folder` below the root: steps run in it, and paths of GitHub begin above."""
    within = _within(folder).as_posix()
    if within == ".":
        return {"title": "parity", "defaults": "", "within": ""}
    defaults = f"    defaults:\n      run:\n        working-directory: {json.dumps(within)}\n"
    return {"title": json.dumps(f"parity {within}"), "defaults": defaults, "within": f"{within}/"}


def skeleton(found: Found) -> str:
    """Return a case with a stand-in for the model, made with the library of the project."""
    models = f" This project has {', '.join(found.models[:5])}." if found.models else ""
    head = _template("head.py.txt", models=models)
    return head + _template(f"{found.library}.py.txt", dataset=_template("dataset.py.txt"))


def _template(name: str, **values: str) -> str:
    text = (resources.files("parity.init") / "templates" / name).read_text(encoding="utf-8")
    return Template(text).substitute(values) if values else text


def _lines(before: str, items: Mapping[str, object] | list[str], indent: int) -> str:
    return ("\n" + " " * indent).join(f"{before}{item}" for item in items)


def _refuse_existing(folder: Path, tox: str, found: Found) -> None:
    """Refuse to replace a file.

    Raises:
        UsageError: there is one.
    """
    names = [tox, ISSUES, f"{BASELINES}/README.md", workflow(folder), *(() if found.cases else (SKELETON,))]
    there = [name for name in names if (folder / name).exists()]
    if there:
        other = " Another name than tox.ini is given with --tox FILE." if tox in there else ""
        raise UsageError(
            f"{', '.join(there)} {'exists' if len(there) == 1 else 'exist'} in {folder.resolve()}, and nothing was "
            f"written: init replaces no file.{other} Move what is there away, or name another folder."
        )


def _next_steps(found: Found, cells: list[str], tox: str) -> Iterator[str]:
    run = "tox" if tox == "tox.ini" else f"tox -c {tox}"
    case = found.cases[0] if found.cases else f"{SKELETON}:case"
    yield ""
    if found.cases:
        yield f"Checked: {', '.join(found.cases)}."
    else:
        models = f", such as {found.models[0]}," if found.models else ""
        yield f"{SKELETON} has a stand-in ({found.library}). Put your model{models} in its place."
    yield "Next:"
    yield f"  {run}"
    yield f"  parity baseline accept reports/{cells[0]} --to {BASELINES}"
    if len(cells) > 1:
        old, new = (Cell.parse(cell) for cell in cells)
        yield (
            f"  parity upgrade --case {case} --from 'jax=={old.jax} tensorflow=={old.tensorflow}' "
            f"--to 'jax=={new.jax} tensorflow=={new.tensorflow}'"
        )
    yield "Commit what was written, and ignore .tox and reports."
