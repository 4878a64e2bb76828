"""What a project has: cases, models, and the library that they are made with."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parity.matrix.project import Project

LINEN, NNX, EQUINOX, HAIKU, FUNCTIONS = "linen", "nnx", "equinox", "haiku", "functions"
IMPORTED = {"flax.linen": LINEN, "flax.nnx": NNX, "equinox": EQUINOX, "haiku": HAIKU}
"""The libraries by the modules that code imports."""
REQUIRED = {"equinox": EQUINOX, "dm-haiku": HAIKU, "flax": LINEN}
"""The libraries by the packages that a project requires, for a project that imports none yet."""
MAKERS = ("from_linen", "from_nnx", "from_equinox", "from_haiku", "Case")
MOST_FILES = 2000


@dataclass(frozen=True)
class Found:
    """What a project has.

    Attributes:
        library: of the models, or `FUNCTIONS`.
        cases: as options name them, such as `model.py:case`.
        models: classes of the library, such as `Model in model.py`.
    """

    library: str
    cases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def look(folder: Path, project: Project) -> Found:
    """Return what the Python files in `folder` define, at most `MOST_FILES` of them, and what `project` requires."""
    counts: Counter[str] = Counter()
    cases: list[str] = []
    models: list[tuple[str, str]] = []
    for path in _files(folder):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # not this Python's, or no text
        name, imports = path.relative_to(folder).as_posix(), _imports(tree)
        used = {IMPORTED[module] for module in imports.values() if module in IMPORTED}
        counts.update(used)
        cases += [f"{name}:{case}" for case in _cases(tree, imports)]
        models += [(library, f"{model} in {name}") for model, library in _models(tree, imports)]
    packages = [requirement.name for requirement in project.requirements]
    required = next((library for package, library in REQUIRED.items() if package in packages), FUNCTIONS)
    library = counts.most_common(1)[0][0] if counts else required
    return Found(library, tuple(cases), tuple(model for of, model in models if of == library))


def repository(folder: Path) -> Path:
    """Return the root of the git repository that `folder` is in, absolute; `folder` itself where it is in none."""
    here = folder.resolve()
    return next((parent for parent in (here, *here.parents) if (parent / ".git").exists()), here)


def _files(folder: Path) -> Iterator[Path]:
    """Yield Python files, nearest first, without hidden folders and environments."""
    count = 0
    for where, folders, names in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (here / name / "pyvenv.cfg").is_file()
        )
        for name in sorted(names):
            if name.endswith(".py"):
                yield here / name
                count += 1
                if count == MOST_FILES:
                    return


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what each name of a module stands for, such as `{"nn": "flax.linen"}`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _meaning(node: ast.expr, imports: dict[str, str]) -> str:
    """Return what a name or attribute stands for, such as `flax.linen.Module`."""
    text = ast.unparse(node)
    for name in sorted(imports, key=len, reverse=True):
        if text == name or text.startswith(f"{name}."):
            return imports[name] + text[len(name) :]
    return text


def _cases(tree: ast.Module, imports: dict[str, str]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            module, _, made = _meaning(node.value.func, imports).rpartition(".")
            if module == "parity" and made in MAKERS:
                yield node.targets[0].id


def _models(tree: ast.Module, imports: dict[str, str]) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                module, _, name = _meaning(base, imports).rpartition(".")
                if module in IMPORTED and name == "Module":
                    yield node.name, IMPORTED[module]
