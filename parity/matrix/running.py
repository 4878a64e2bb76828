"""One cell, from nothing to a sealed record: its releases installed, its runs watched."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from packaging.version import Version

from parity import records, report
from parity.compat import known_issues, readers
from parity.core import environment, storage
from parity.core.errors import RecordError, UsageError
from parity.core.failures import UNKNOWN
from parity.export import archives, bundles
from parity.matrix.building import installing, installing_keras2, refused
from parity.matrix.inputs import fingerprint
from parity.matrix.supervising import INTERRUPTED, LOG, Ended, Interrupt, python, settle, watch
from parity.records import ERROR, FLEET, JOINT, MISSING, PASS, SPLIT, Run, Stopped, cells
from parity.records.cells import ARCHIVE, EXPORT, LATEST, VERIFY, Cell

SIZES = ("1", "13", "256")
"""The batch sizes of a cell: one, an odd one, and the one trained with."""
BUNDLE_SIZES = ("1", "13")
BUNDLES = "bundles"
ARCHIVED = ("--case=miniature",)
"""What an archived bundle is of."""
TIME_LIMIT_S = 1200.0

Watch = Callable[[list[str], Path], Ended]


@dataclass(frozen=True)
class Task:
    """One record to be made: where, how, and from what; `stopped` says why it cannot be.

    `archived` is the file that a cell writes which archives.
    """

    name: str
    mode: str
    command: tuple[str, ...]
    inputs: str
    cell: Cell
    stopped: Stopped | None = None
    archived: Path | None = None


def run_cell(
    cell: Cell,
    reports: Path,
    further: list[str],
    time_limit_s: float,
    fresh: bool,
    show: Callable[[str], Any],
    archive: Path | None = None,
) -> list[Run]:
    """Make the records of `cell` in `reports`, one folder each; those that are up to date are left as they are.

    Args:
        cell: which releases; installed into this interpreter's environment.
        reports: the folder of all records.
        further: options for `parity run`.
        time_limit_s: after which a run is ended, and an installation.
        fresh: make them again although they are up to date.
        show: takes what runs print, as it comes.
        archive: the folder of archived bundles, to be replayed or added to.

    Raises:
        UsageError: the cell is of another Python, it would replace what is archived, or uv is not installed.
        RecordError: there is no archive in `archive`.
        KeyboardInterrupt: this process was asked to end, and every record has been sealed.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if cell.python not in (None, here):
        wanted = f"{cell.name} is a cell of Python {cell.python}, and this is {here}"
        raise UsageError(f"{wanted}. Run it where that Python is: tox run -e {cell.name}")
    todo = tasks(cell, reports, further, archive)
    for task in todo:
        if task.archived is not None:
            archives.require_new(task.archived)
    done = {task.name: None if fresh else standing(task, reports) for task in todo}
    waiting = [task for task in todo if done[task.name] is None]
    with Interrupt() as interrupt:
        watching = partial(watch, time_limit_s=time_limit_s, show=show, interrupt=interrupt)
        stopped, log, spent_s = _prepare(cell, waiting, watching, time_limit_s)
        for task in waiting:
            why = INTERRUPTED if interrupt.asked else task.stopped or stopped
            before = standing(task, reports)
            if why is not None and why.status == MISSING and before is not None:
                done[task.name] = before  # made from the same, and nothing was run since
                continue
            begin(task, reports, log)
            done[task.name] = make(task, reports, why, spent_s / len(waiting), time_limit_s, watching)
    if interrupt.asked:
        raise KeyboardInterrupt
    return [run for run in done.values() if run is not None]


def standing(task: Task, reports: Path) -> Run | None:
    """The record of `task` that need not be made again; None if it is to be made."""
    run = up_to_date(reports / task.name, task.inputs)
    exported = run is not None and run.mode == records.EXPORT and cells.outcome(run).status == PASS
    gone = task.archived is not None or (exported and not has_bundle(reports, task.cell))
    return None if gone else run


def up_to_date(folder: Path, inputs: str) -> Run | None:
    """The sealed record in `folder`, if it was made from these inputs and came to an end."""
    try:
        run = records.read(folder / "run.json")
    except RecordError:
        return None
    known_issues.reapply(run)
    return run if run.inputs == inputs and cells.outcome(run).status != MISSING else None


def tasks(cell: Cell, reports: Path, further: list[str], archive: Path | None = None) -> list[Task]:
    """The records that `cell` is to leave: one, or for a cell that verifies one for every bundle to be read.

    Those are the exports in `reports`, and what is in `archive`.

    Raises:
        UsageError: `further` is given to a cell that is not a pair, or no archive to one that archives.
        RecordError: there is no archive in `archive`.
    """
    if further and cell.role:
        raise UsageError(f"{cell.name} takes no options of parity run, and was given {' '.join(further)}.")
    if cell.role == VERIFY:
        return list(_verifications(cell, reports, archive))
    if cell.role == EXPORT:
        return [_export(cell, bundle(reports, cell))]
    if cell.role == ARCHIVE:
        if archive is None or cell.jax is None:
            raise UsageError(f"{cell.name} writes into an archive. Name its folder with --archive.")
        path = archives.path_of(archive, cell.jax)
        return [replace(_export(cell, path, *ARCHIVED), archived=path)]
    sizes = [] if "--batch-size" in " ".join(further) else [f"--batch-size={size}" for size in SIZES]
    selected = any(option.startswith(("-k", "-m", "--probe")) for option in further)
    asked = [*sizes, *([] if selected else ["--latency"]), *further]
    where = (f"--out={reports / cell.name}", f"--cell={cell.name}")
    # pytest would otherwise keep what native code says, and lose it where that aborts.
    command = python("-m", "parity", "run", *where, "--capture=sys", *asked)
    # Other releases may be the newest tomorrow.
    day = [records.now().partition("T")[0]] if cell.name == LATEST else []
    return [Task(cell.name, JOINT, tuple(command), fingerprint(cell, [*asked, *day]), cell)]


def _export(cell: Cell, path: Path, *of: str) -> Task:
    asked = [*of, f"--readable-by={readers.oldest()}", *(f"--batch-size={size}" for size in BUNDLE_SIZES)]
    command = python("-m", "parity", "export", str(path), *asked)
    return Task(cell.name, records.EXPORT, tuple(command), fingerprint(cell, asked), cell)


def _verifications(cell: Cell, reports: Path, archive: Path | None) -> Iterator[Task]:
    """A record for every export, of the newest jax also for the whole fleet, and one for every archived bundle."""
    found, archived = exports(reports), archives.listed(archive) if archive else {}
    for writer, stopped in found:
        yield _verification(replace(cell, jax=writer.jax), SPLIT, reports, stopped)
    for writer, stopped in found[-1:]:
        yield _verification(replace(cell, jax=writer.jax), FLEET, reports, stopped)
    for jax in sorted(archived, key=Version):
        assert archive is not None
        path = archives.path_of(archive, jax)
        yield _verification(replace(cell, jax=jax), records.ARCHIVE, reports, _spoilt(path, archived[jax]), path)
    if not found and not archived:
        why = Stopped(MISSING, "", "nothing has been exported: run a cell such as py311-jax0.9.2-export before")
        yield Task(cell.name, SPLIT, (), "", cell, why)


def _verification(pair: Cell, mode: str, reports: Path, stopped: Stopped | None, archived: Path | None = None) -> Task:
    name, path = f"{mode}-jax{pair.jax}-tf{pair.tensorflow}", archived or bundle(reports, pair)
    command = python("-m", "parity", "verify", str(path), f"--out={reports / name}", f"--cell={name}")
    command += ["--remedied"] if mode == FLEET else []
    inputs = fingerprint(pair, [mode, stopped.evidence]) if stopped else fingerprint(pair, [mode], path)
    return Task(name, mode, tuple(command), inputs, pair, stopped)


def _spoilt(path: Path, listed: str | None) -> Stopped | None:
    """Why the archived bundle at `path`, of which the SHA-256 is `listed`, is not to be asked."""
    if not path.is_file():
        return Stopped(MISSING, "", f"{path.name} is listed in {archives.SUMS} and is not there: restore it")
    if listed is None:
        return Stopped(ERROR, UNKNOWN, f"{path.name} is not listed in {archives.SUMS}: remove it, and archive it again")
    same = storage.sha256(path) == listed
    altered = f"{path.name} is not what was archived, its SHA-256 is not that of {archives.SUMS}: restore it"
    return None if same else Stopped(ERROR, UNKNOWN, altered)


def exports(reports: Path) -> list[tuple[Cell, Stopped | None]]:
    """The cells that exported here, oldest jax first, and why nothing can be verified of those that failed.

    Of several for one jax it is one that did not fail: their bundle is the same.
    """
    found: dict[str, tuple[Cell, Stopped | None]] = {}
    for folder in sorted(reports.glob(f"*-{EXPORT}")):
        writer = cells.of_record(folder.name)
        if writer is not None and writer.jax and (writer.jax not in found or found[writer.jax][1]):
            found[writer.jax] = writer, _unusable(folder, has_bundle(reports, writer))
    return [found[jax] for jax in sorted(found, key=Version)]


def _unusable(folder: Path, has_bundle: bool) -> Stopped | None:
    """Why nothing can be verified of the export whose record is in `folder`."""
    try:
        became = cells.outcome(records.read(folder))
    except RecordError:
        return Stopped(MISSING, "", f"the export left no record: run {folder.name} before")
    if became.status == PASS:
        return None if has_bundle else Stopped(MISSING, "", f"its bundle is gone: run {folder.name} before")
    status = MISSING if became.status == MISSING else ERROR
    return Stopped(status, became.failure, f"the export failed: {became.evidence}")


def bundle(reports: Path, cell: Cell) -> Path:
    """The folder of the bundle that the jax of `cell` exports."""
    return reports / BUNDLES / f"jax{cell.jax}"


def has_bundle(reports: Path, cell: Cell) -> bool:
    """Whether that bundle is there, whole: its manifest is written last."""
    return (bundle(reports, cell) / bundles.MANIFEST).is_file()


def _prepare(
    cell: Cell, waiting: list[Task], watching: Watch, time_limit_s: float
) -> tuple[Stopped | None, str, float]:
    """Install what a cell needs, if any of its tasks can be begun: what stops them, what was said, and the seconds."""
    if all(task.stopped for task in waiting):
        return None, "", 0.0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="parity-cell-") as scratch:
        ended = watching(installing(cell), Path(scratch) / LOG)
        stopped, log = refused(ended, time_limit_s), ended.log
        if stopped is None and not cell.role:
            log += watching(installing_keras2(), Path(scratch) / LOG).log  # a run says itself what it lacks of this
    return stopped, log, time.perf_counter() - began


def begin(task: Task, reports: Path, log: str) -> None:
    """Remove what an earlier run of `task` left, and begin its log."""
    folder = reports / task.name
    shutil.rmtree(folder, ignore_errors=True)
    if task.mode == records.EXPORT and task.archived is None:
        shutil.rmtree(bundle(reports, task.cell), ignore_errors=True)
    if task.cell.role == VERIFY:
        shutil.rmtree(reports / task.cell.name, ignore_errors=True)  # says that nothing had been exported
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text(log, encoding="utf-8")


def make(
    task: Task, reports: Path, stopped: Stopped | None, environment_s: float, time_limit_s: float, watching: Watch
) -> Run:
    """Run `task`, unless something has stopped it already, and seal its record."""
    folder, spent = reports / task.name, {}
    facts = {"versions": {}, "machine": environment.machine()}
    run = Run(cell=task.name, started_at=records.now(), environment=facts)
    if stopped is None:
        began = time.perf_counter()
        ended = watching(list(task.command), folder / LOG)
        spent = {"the process": time.perf_counter() - began}
        if task.mode == records.EXPORT and ended.code == 0:
            run.state, facts["bundle"] = records.COMPLETE, _manifest(task.archived or bundle(reports, task.cell))
            if task.archived is not None:
                archives.enlist(task.archived)
        run = settle(folder, run, ended, time_limit_s)
    else:
        run.stopped = stopped
    asked = task.cell
    run.environment["cell"] = {"jax": asked.jax, "tensorflow": asked.tensorflow, "python": asked.python}
    run.spent_s = {"environment": environment_s, **(run.spent_s or spent)}
    run.mode, run.inputs, run.ended_at = task.mode, task.inputs, run.ended_at or records.now()
    records.seal(folder, run)
    report.write([run], folder / "index.html")
    return run


def _manifest(bundle: Path) -> dict[str, Any]:
    with archives.unpacked(bundle) as folder:
        manifest: dict[str, Any] = json.loads((folder / bundles.MANIFEST).read_text(encoding="utf-8"))
    return {key: manifest[key] for key in ("versions", "writer")}
