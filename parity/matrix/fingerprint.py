"""The fingerprint of what a cell's record is made from: equal fingerprints need no second run.

It has two parts: what is requested (`of_request`), known before anything is installed, and the releases that were
installed for it (`with_versions`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.version import Version

import parity
from parity.compat import readers
from parity.export import bundles
from parity.matrix.installation import requirements
from parity.records.cells import EXPORT, Cell

VERSIONED = ("jax", "jaxlib", "flax", "optax", "tensorflow", "keras", "numpy")
"""The packages whose installed versions count."""
ROOMS = (
    "core", "records", "cases", "compat", "scoring", "export", "runtimes", "probes", "handover", "latency", "session",
    "suites",
)  # fmt: skip
"""The rooms whose code makes a record; the others present, compare or study records."""
NOT_COUNTED = (
    "compat/known_issues.py", "compat/known_issues.toml",  # applied again whenever records are joined
    "compat/readers.toml",  # only the limits of the cell's own release count
    "records/atlas.py", "records/cells.py", "records/cost.py", "records/false_alarms.py", "records/published.py",
    "records/timing_calibration.py",  # these read records of runs, or are records of something else
)  # fmt: skip


def of_request(cell: Cell, options: list[str], bundle: Path | None = None) -> str:
    """Return the SHA-256 over what is requested: releases, options, the case file with its imports, bundle, and code.

    Args:
        cell: the cell.
        options: the options of its run.
        bundle: the bundle that it reads, if any: a folder or a file.
    """
    digest = hashlib.sha256()
    for part in (cell.name, *requirements(cell), *options, *_limits(cell), *_code(Path(parity.__file__).parent)):
        digest.update(part.encode() + b"\0")
    for case in _case_files(options):
        for file in sorted(with_imports(case)):
            digest.update(str(file.relative_to(case.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    if bundle is not None:
        digest.update((bundle if bundle.is_file() else bundle / bundles.MANIFEST).read_bytes())
    return digest.hexdigest()


def with_versions(request: str, versions: Mapping[str, str | None]) -> str:
    """Return the fingerprint of a request under installed versions; the request's own where nothing was installed."""
    if not versions:
        return request
    installed = [f"{name}=={versions.get(name)}" for name in VERSIONED]
    return hashlib.sha256("\0".join([request, *installed]).encode()).hexdigest()


def with_imports(file: Path) -> set[Path]:
    """Return `file` and the modules of its own folder that it imports, directly or through one another."""
    root, found, waiting = file.parent, set[Path](), [file]
    while waiting:
        module = waiting.pop()
        if module not in found and root in module.parents:
            found.add(module)
            waiting += _imported(module, root)
    return found


def _imported(file: Path, root: Path) -> Iterator[Path]:
    try:
        nodes = ast.walk(ast.parse(file.read_bytes()))
    except (SyntaxError, ValueError):  # the run reports it
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _modules(root, name.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                folders = [root, *file.parents]
                start = folders[min(node.level, len(folders) - 1)]
                yield from _modules(start, [*(node.module or "").split("."), name.name])


def _modules(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield the files that importing a dotted name under `folder` executes; none where it lies elsewhere."""
    for name in filter(None, names):
        yield from (path for path in (folder / f"{name}.py", folder / name / "__init__.py") if path.is_file())
        folder /= name


def _code(package: Path) -> Iterator[str]:
    for room in ROOMS:
        for path in sorted((package / room).rglob("*")):
            name = path.relative_to(package).as_posix()
            if path.suffix in (".py", ".toml", ".json") and name not in NOT_COUNTED:
                yield f"{name} {path.read_text(encoding='utf-8')}"


def _case_files(options: list[str]) -> list[Path]:
    """Return the files of the cases that the options of a run name."""
    names = [Path(text.removeprefix("--case=").rpartition(":")[0]) for text in options]
    return [path.resolve() for path in names if path.suffix == ".py" and path.is_file()]


def _limits(cell: Cell) -> list[str]:
    """Return the limits that the table lists for the cell's release, or for its line of releases."""
    release = readers.oldest().partition("==")[2] if cell.role == EXPORT else cell.tensorflow
    if release is None:
        return []
    version, listed = Version(release), readers.table()
    line = [limits for release, limits in listed.items() if Version(release).release[:2] == version.release[:2]]
    return [repr(limits) for limits in ([listed[str(version)]] if str(version) in listed else line[:1])]
