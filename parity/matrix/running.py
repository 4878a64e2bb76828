"""One cell, from nothing to a sealed record: its releases installed, its runs watched."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parity import bundles, cells, environment, readers, records, report
from parity.cells import EXPORT, VERIFY, Cell
from parity.errors import RecordError
from parity.failures import RESOLVER, Failure
from parity.matrix.building import install
from parity.matrix.inputs import fingerprint
from parity.matrix.supervising import python, settle, watch
from parity.records import FLEET, JOINT, MISSING, SPLIT, Run, Stopped

SIZES = ("1", "13", "256")
"""The batch sizes of a cell: one, an odd one, and the one trained with."""
BUNDLE_SIZES = ("1", "13")
BUNDLES = "bundles"
TIME_LIMIT_S = 1200.0


@dataclass(frozen=True)
class Task:
    """One record to be made: where, how, and from what; `command` is run by this interpreter."""

    name: str
    mode: str
    command: tuple[str, ...]
    inputs: str
    cell: Cell
    failure: Failure | None = None


def run_cell(
    cell: Cell,
    reports: Path,
    further: list[str],
    time_limit_s: float = TIME_LIMIT_S,
    fresh: bool = False,
    show: Callable[[str], Any] = print,
) -> list[Run]:
    """Make the records of `cell` in `reports`, one folder each; those that are up to date are left as they are.

    Args:
        cell: which releases; installed into this interpreter's environment.
        reports: the folder of all records.
        further: options for `parity run`.
        time_limit_s: after which a run is ended.
        fresh: make them again although they are up to date.
        show: takes the lines that runs print.
    """
    tasks = list(_tasks(cell, reports, further))
    done = {task.name: None if fresh else up_to_date(reports / task.name, task.inputs) for task in tasks}
    waiting = [task for task in tasks if done[task.name] is None]
    if waiting:
        began = time.perf_counter()
        try:
            failure = install(cell)
        except KeyboardInterrupt:
            for task in waiting:
                _stop(task, reports, Stopped(MISSING, "", "interrupted"), 0.0)
            raise
        spent = (time.perf_counter() - began) / len(waiting)
        for task in waiting:
            done[task.name] = _run(task, reports, failure or task.failure, spent, time_limit_s, show)
    return [run for run in done.values() if run is not None]


def up_to_date(folder: Path, inputs: str) -> Run | None:
    """The sealed record in `folder`, if it was made from these inputs and came to an end."""
    try:
        run = records.read(folder / "run.json")
    except RecordError:
        return None
    return run if run.inputs == inputs and cells.outcome(run).status != MISSING else None


def _tasks(cell: Cell, reports: Path, further: list[str]) -> Iterator[Task]:
    if cell.role == VERIFY:
        yield from _verifications(cell, reports)
    elif cell.role == EXPORT:
        asked = [f"--readable-by={readers.oldest()}", *(f"--batch-size={size}" for size in BUNDLE_SIZES)]
        command = ("export", str(_bundle(reports, cell)), *asked)
        yield Task(cell.name, records.EXPORT, command, fingerprint(cell, asked), cell)
    else:
        sizes = [] if "--batch-size" in " ".join(further) else [f"--batch-size={size}" for size in SIZES]
        command = ("run", f"--out={reports / cell.name}", f"--cell={cell.name}", *sizes, *further)
        yield Task(cell.name, JOINT, command, fingerprint(cell, [*sizes, *further]), cell)


def _verifications(cell: Cell, reports: Path) -> Iterator[Task]:
    """A record for every export; the newest jax's export under the remedy is the one for the whole fleet."""
    exports = sorted(_exports(reports), key=lambda pair: readers.Version(pair[0].jax or "0"))
    for writer, failure in exports:
        pair = replace(cell, jax=writer.jax)
        yield _verification(pair, SPLIT, reports, failure)
    for writer, failure in exports[-1:]:
        yield _verification(replace(cell, jax=writer.jax), FLEET, reports, failure)


def _verification(pair: Cell, mode: str, reports: Path, failure: Failure | None) -> Task:
    name = f"{mode}-jax{pair.jax}-tf{pair.tensorflow}"
    bundle = _bundle(reports, pair)
    command = ["verify", str(bundle), f"--out={reports / name}", f"--cell={name}"]
    command += ["--remedied"] if mode == FLEET else []
    inputs = "" if failure else fingerprint(pair, [mode], bundle)
    return Task(name, mode, tuple(command), inputs, pair, failure)


def _exports(reports: Path) -> Iterator[tuple[Cell, Failure | None]]:
    """The cells that exported here, and why those that could not did not."""
    for folder in sorted(reports.glob(f"py*-{EXPORT}")):
        exported = records.read(folder)
        became, cell = cells.outcome(exported), Cell.parse(folder.name)
        failed = became.status != records.PASS or not (_bundle(reports, cell) / bundles.MANIFEST).is_file()
        yield cell, Failure(became.failure, f"the export failed: {became.evidence}") if failed else None


def _bundle(reports: Path, cell: Cell) -> Path:
    return reports / BUNDLES / f"jax{cell.jax}"


def _run(
    task: Task, reports: Path, failure: Failure | None, environment_s: float, time_limit_s: float, show: Any
) -> Run:
    if failure is not None:
        # What could not be fetched may be there tomorrow; what cannot be resolved is an answer.
        status = records.ERROR if failure.kind == RESOLVER or failure == task.failure else MISSING
        return _stop(task, reports, Stopped(status, failure.kind, failure.evidence), environment_s)
    folder = reports / task.name
    shutil.rmtree(folder, ignore_errors=True)
    if task.mode == records.EXPORT:
        shutil.rmtree(_bundle(reports, task.cell), ignore_errors=True)
    began = time.perf_counter()
    ended = watch(python("-m", "parity", *task.command), folder, time_limit_s, show)
    spent = time.perf_counter() - began
    blank = _blank(task)
    if task.mode == records.EXPORT and ended.code == 0:
        blank.state, blank.environment["bundle"] = records.COMPLETE, _manifest(_bundle(reports, task.cell))
    run = settle(folder, blank, ended, time_limit_s)
    run.spent_s = {"environment": environment_s, **(run.spent_s or {"the process": spent})}
    _seal(task, reports, run)
    if ended.interrupted:
        raise KeyboardInterrupt
    return run


def _manifest(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((bundle / bundles.MANIFEST).read_text(encoding="utf-8"))
    return {key: manifest[key] for key in ("versions", "writer")}


def _stop(task: Task, reports: Path, stopped: Stopped, environment_s: float) -> Run:
    run = _blank(task)
    run.stopped, run.spent_s = stopped, {"environment": environment_s}
    shutil.rmtree(reports / task.name, ignore_errors=True)
    _seal(task, reports, run)
    return run


def _blank(task: Task) -> Run:
    facts = {"versions": {}, "machine": environment.machine()}
    return Run(cell=task.name, started_at=records.now(), environment=facts)


def _seal(task: Task, reports: Path, run: Run) -> None:
    run.mode, run.inputs, run.ended_at = task.mode, task.inputs, run.ended_at or records.now()
    asked = task.cell
    run.environment["cell"] = {"jax": asked.jax, "tensorflow": asked.tensorflow, "python": asked.python}
    records.seal(reports / task.name, run)
    report.write([run], reports / task.name / "index.html")
