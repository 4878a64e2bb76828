"""The records that one cell must leave: the command that makes each, and whether the one there already counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from parity import records
from parity.compat import known_issues, readers
from parity.core import storage
from parity.core.errors import RecordError, UsageError
from parity.core.failures import RESOLVER, UNKNOWN
from parity.export import archives, bundles
from parity.matrix import fingerprint
from parity.matrix.child_process import python
from parity.matrix.installation import NOTHING
from parity.matrix.project import Project
from parity.records import CRASH, ERROR, FLEET, JOINT, MISSING, PASS, SPLIT, TIMEOUT, Run, Stopped, cells
from parity.records.cells import ARCHIVE, EXPORT, LATEST, VERIFY, Cell

BUNDLE_SIZES = ("1", "13")
BUNDLES = "bundles"
ARCHIVED_CASE = "--case=miniature"
"""The case of an archived bundle."""


@dataclass(frozen=True)
class Task:
    """One record to be made.

    Attributes:
        name: of the record and its folder.
        mode: of the run, such as `joint`.
        command: what makes it.
        request: the fingerprint of what is requested, without installed versions.
        cell: the releases that it is about.
        stopped: why it cannot be made, if so.
        archived: the file that an archiving cell writes.
    """

    name: str
    mode: str
    command: tuple[str, ...]
    request: str
    cell: Cell
    stopped: Stopped | None = None
    archived: Path | None = None


def tasks(
    cell: Cell, reports: Path, options: list[str], archive: Path | None = None, project: Project = NOTHING
) -> list[Task]:
    """Return the records that `cell` must leave: one, or for a verifying cell one for every bundle that it reads.

    Those bundles are the exports in `reports` and the archived ones in `archive`. What `project` requires is installed
    for a pair too.

    Raises:
        UsageError: options for a cell that is not a pair, or no archive for one that archives.
        RecordError: `archive` is not an archive.
    """
    if options and cell.role:
        raise UsageError(f"{cell.name} takes no options of parity run, and was given {' '.join(options)}.")
    if cell.role == VERIFY:
        return list(_verifications(cell, reports, archive))
    if cell.role == EXPORT:
        return [_export(cell, bundle(reports, cell))]
    if cell.role == ARCHIVE:
        if archive is None or cell.jax is None:
            raise UsageError(f"{cell.name} writes into an archive. Name its folder with --archive.")
        path = archives.path_of(archive, cell.jax)
        return [replace(_export(cell, path, ARCHIVED_CASE), archived=path)]
    where = (f"--out={reports / cell.name}", f"--cell={cell.name}")
    # pytest would otherwise capture what native code prints, and lose it where that aborts.
    command = python("-m", "parity", "run", *where, "--capture=sys", *options)
    # Other releases may be the newest tomorrow.
    day = [records.now().partition("T")[0]] if cell.name == LATEST else []
    return [
        Task(cell.name, JOINT, tuple(command), fingerprint.of_request(cell, [*options, *day, *project.inputs()]), cell)
    ]


def _export(cell: Cell, path: Path, *case: str) -> Task:
    options = [*case, f"--readable-by={readers.oldest()}", *(f"--batch-size={size}" for size in BUNDLE_SIZES)]
    command = python("-m", "parity", "export", str(path), *options)
    return Task(cell.name, records.EXPORT, tuple(command), fingerprint.of_request(cell, options), cell)


def _verifications(cell: Cell, reports: Path, archive: Path | None) -> Iterator[Task]:
    """Yield a task for every export, one more for the newest export to the fleet, and one for every archived bundle."""
    found, archived = exports(reports), archives.listed(archive) if archive else {}
    for writer, stopped in found:
        yield _verification(replace(cell, jax=writer.jax), SPLIT, bundle(reports, writer), reports, stopped)
    for writer, stopped in found[-1:]:
        yield _verification(replace(cell, jax=writer.jax), FLEET, bundle(reports, writer), reports, stopped)
    for jax in sorted(archived, key=Version):
        assert archive is not None
        path = archives.path_of(archive, jax)
        yield _verification(replace(cell, jax=jax), records.ARCHIVE, path, reports, _damaged(path, archived[jax]))
    if not found and not archived:
        why = Stopped(MISSING, "", "nothing has been exported: run a cell such as py311-jax0.9.2-export before")
        yield Task(cell.name, SPLIT, (), "", cell, why)


def _verification(pair: Cell, mode: str, path: Path, reports: Path, stopped: Stopped | None) -> Task:
    name = f"{mode}-jax{pair.jax}-tf{pair.tensorflow}"
    command = python("-m", "parity", "verify", str(path), f"--out={reports / name}", f"--cell={name}")
    command += ["--remedied"] if mode == FLEET else []
    read = [mode, stopped.evidence] if stopped else [mode]
    request = fingerprint.of_request(pair, read, None if stopped else path)
    return Task(name, mode, tuple(command), request, pair, stopped)


def _damaged(path: Path, listed: str | None) -> Stopped | None:
    """Return why the archived bundle at `path`, whose listed SHA-256 is `listed`, cannot be read; None where it can."""
    if not path.is_file():
        return Stopped(MISSING, "", f"{path.name} is listed in {archives.SUMS} and is not there: restore it")
    if listed is None:
        return Stopped(ERROR, UNKNOWN, f"{path.name} is not listed in {archives.SUMS}: remove it, and archive it again")
    if storage.sha256(path) == listed:
        return None
    return Stopped(ERROR, UNKNOWN, f"{path.name} is changed: its SHA-256 is not that in {archives.SUMS}: restore it")


def exports(reports: Path) -> list[tuple[Cell, Stopped | None]]:
    """Return the cells that exported, oldest jax first, each with why its bundle cannot be verified, if so.

    Of several cells of one jax, one that succeeded is preferred: their bundle is the same.
    """
    found: dict[str, tuple[Cell, Stopped | None]] = {}
    for folder in sorted(reports.glob(f"*-{EXPORT}")):
        writer = cells.of_record(folder.name)
        if writer is not None and writer.jax and (writer.jax not in found or found[writer.jax][1]):
            found[writer.jax] = writer, _unusable(folder, has_bundle(reports, writer))
    return [found[jax] for jax in sorted(found, key=Version)]


def _unusable(folder: Path, has_bundle: bool) -> Stopped | None:
    try:
        outcome = cells.outcome(records.read(folder))
    except RecordError:
        return Stopped(MISSING, "", f"the export left no record: run {folder.name} before")
    if outcome.status == PASS:
        return None if has_bundle else Stopped(MISSING, "", f"its bundle is gone: run {folder.name} before")
    status = MISSING if outcome.status == MISSING else ERROR
    return Stopped(status, outcome.failure, f"the export failed: {outcome.evidence}")


def bundle(reports: Path, cell: Cell) -> Path:
    """Return the folder of the bundle that the jax of `cell` exports."""
    return reports / BUNDLES / f"jax{cell.jax}"


def has_bundle(reports: Path, cell: Cell) -> bool:
    """Return whether that bundle is complete: its manifest is written last."""
    return (bundle(reports, cell) / bundles.MANIFEST).is_file()


# Which records count


def up_to_date(task: Task, reports: Path, versions: dict[str, str | None] | None = None) -> Run | None:
    """Return the record of `task` that need not be made again; None if it must be made.

    Args:
        task: the record.
        reports: the folder of all records.
        versions: what is installed for it; None for what the record itself says was installed.
    """
    try:
        run = records.read(reports / task.name / "run.json")
    except RecordError:
        return None
    known_issues.reapply(run)
    if not is_current(run, task, versions) or not is_final(run) or task.archived is not None:
        return None
    lost = run.mode == records.EXPORT and cells.outcome(run).status == PASS and not has_bundle(reports, task.cell)
    return None if lost else run


def is_current(run: Run, task: Task, versions: dict[str, str | None] | None = None) -> bool:
    """Return whether `run` was made from what `task` would be made from, under `versions` or those it recorded."""
    if versions is None:
        versions = run.environment.get("cell", {}).get("installed", {})
    return run.inputs == fingerprint.with_versions(task.request, versions)


def is_final(run: Run) -> bool:
    """Return whether another start would find the same.

    It would where the run ended by itself and saw everything, or where a resolver says that the releases cannot be
    installed together.
    """
    ended = run.stopped is not None or (run.state == records.COMPLETE and cells.outcome(run).status != MISSING)
    return ended and is_settled(run)


def is_settled(run: Run) -> bool:
    """Return whether nothing in `run` may be the machine's and not the releases': a crash, a timeout, an interrupt."""
    if run.stopped is not None:
        return run.stopped.status == ERROR and run.stopped.failure == RESOLVER
    return all(check.status not in (CRASH, TIMEOUT) for check in run.checks)
