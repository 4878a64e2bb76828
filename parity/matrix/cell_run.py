"""One cell, from nothing to sealed records: its releases installed, its runs supervised."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from parity import records, report
from parity.core import environment
from parity.core.errors import PanelError, UsageError
from parity.core.native_log import LOG
from parity.export import archives, bundles
from parity.matrix import installation, resolving
from parity.matrix.child_process import INTERRUPTED, DeferredInterrupt, Ended, complete_record, watch
from parity.matrix.fingerprint import VERSIONED, with_versions
from parity.matrix.installation import NOTHING
from parity.matrix.project import Project
from parity.matrix.screen import Screen
from parity.matrix.tasks import Task, bundle, tasks, up_to_date
from parity.records import MISSING, Run, Stopped, cells
from parity.records.cells import VERIFY, Cell

Watch = Callable[[list[str], Path], Ended]


@dataclass(frozen=True)
class Installed:
    """What became of the install of a cell: why it stops the cell, its output and seconds, and what is installed."""

    stopped: Stopped | None = None
    log: str = ""
    seconds: float = 0.0
    versions: dict[str, str | None] = field(default_factory=dict)


def run_cell(
    cell: Cell,
    reports: Path,
    options: list[str],
    time_limit_s: float | None,
    fresh: bool,
    screen: Screen,
    archive: Path | None = None,
    project: Project = NOTHING,
) -> list[Run]:
    """Make the records of `cell` in `reports`, one folder each; those that are up to date stay as they are.

    Args:
        cell: the releases, which are installed into this interpreter's environment.
        reports: the folder of all records.
        options: options of `parity run`.
        time_limit_s: seconds after which a run or an install is ended; None for no limit.
        fresh: make records again although they are up to date.
        screen: shows installs and runs.
        archive: the folder of archived bundles, to be read or added to.
        project: what is installed for a pair too.

    Raises:
        UsageError: the cell is of another Python, it would replace an archived bundle, or uv is not installed.
        RecordError: `archive` is not an archive.
        KeyboardInterrupt: this process was asked to end, and every record has been sealed.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if cell.python not in (None, python):
        raise UsageError(
            f"{cell.name} is a cell of Python {cell.python}, and this is {python}. "
            f"Run it where that Python is: tox run -e {cell.name}"
        )
    project = NOTHING if cell.role else project
    todo = tasks(cell, reports, options, archive, project)
    for task in todo:
        if task.archived is not None:
            archives.require_new(task.archived)
    with DeferredInterrupt() as interrupt:
        watching = partial(
            watch, time_limit_s=time_limit_s, show=screen.output, interrupted=lambda: interrupt.requested,
            poll=screen.poll,
        )  # fmt: skip
        screen.begin(f"installing {', '.join(installation.requirements(cell))}")
        installed = Installed() if all(task.stopped for task in todo) else _install(cell, watching, project)
        if installed.versions:
            screen.say(f"Installed {_listed(installed.versions)} in {installed.seconds:.0f} s.")
        runs = []
        for task in todo:
            stopped = INTERRUPTED if interrupt.requested else task.stopped or installed.stopped
            if stopped is not None and stopped.status == MISSING:
                kept = up_to_date(task, reports)  # nothing was found now, which says nothing against it
            else:
                kept = None if fresh else up_to_date(task, reports, installed.versions)
            if kept is None:
                clear(task, reports, installed.log)
                screen.begin(f"{task.name}: starting")
                wanted = replace(task, command=(*task.command, "-v")) if _says_more(task, screen) else task
                ended = replace(installed, stopped=stopped)
                kept = make(wanted, reports, ended, watching, 1 / len(todo), screen.say)
            else:
                screen.say(f"{task.name} is up to date, and is not run again. Option --fresh runs it.")
            runs.append(kept)
    if interrupt.requested:
        raise KeyboardInterrupt
    return runs


def _says_more(task: Task, screen: Screen) -> bool:
    return screen.verbose and task.mode == records.JOINT


def _listed(versions: dict[str, str | None]) -> str:
    return " and ".join(f"{name} {versions[name]}" for name in ("jax", "tensorflow") if versions.get(name))


def summary(run: Run) -> str:
    """Return the outcome of a record in one line."""
    outcome = cells.outcome(run)
    why = ": ".join(filter(None, (outcome.failure, outcome.evidence)))
    return f"{run.cell}: {outcome.status}" + (f", {why}" if why else "")


def _install(cell: Cell, watching: Watch, project: Project) -> Installed:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="parity-cell-") as scratch:
        log, versions, stopped = "", {}, None
        for command in _commands(cell, project, Path(scratch)):
            ended = watching(command, Path(scratch) / LOG)
            log += ended.log
            # An install that was ended from outside says nothing about the pair.
            left = structs.replace(ended.stopped, status=MISSING) if ended.stopped else None
            stopped = left or installation.refusal(ended.code, ended.log)
            if stopped is not None:
                stopped = resolving.explained(stopped, cell, project, sys.executable)
                break
        if stopped is None:
            importlib.invalidate_caches()
            if not cell.role:  # where there is no Keras 2 for this release, the run says what it lacks
                log += watching(installation.keras2_command(), Path(scratch) / LOG).log
            versions = {name: environment.versions()[name] for name in VERSIONED}
    return Installed(stopped, log, time.perf_counter() - began, versions)


def _commands(cell: Cell, project: Project, scratch: Path) -> list[list[str]]:
    """Return the commands that install a cell, in order.

    Beside a project what is installed is resolved first: only then does uv keep what a lock has.
    """
    if not project:
        return [installation.install_command(cell)]
    required = installation.required(cell, project)
    arguments = resolving.write(scratch, required, project.constraints, project)
    commands = [
        [*installation.compile_command(sys.executable), *arguments],
        installation.resolved_command(str(scratch / resolving.RESOLVED)),
    ]
    return [*commands, installation.packages_command(project)] if project.packages else commands


def clear(task: Task, reports: Path, log: str) -> None:
    """Remove what an earlier run of `task` left, and begin its log with `log`."""
    folder = reports / task.name
    shutil.rmtree(folder, ignore_errors=True)
    if task.mode == records.EXPORT and task.archived is None:
        shutil.rmtree(bundle(reports, task.cell), ignore_errors=True)
    if task.cell.role == VERIFY:
        shutil.rmtree(reports / task.cell.name, ignore_errors=True)  # the record that nothing had been exported
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text(log, encoding="utf-8")


def make(
    task: Task, reports: Path, installed: Installed, watching: Watch, share: float = 1.0,
    say: Callable[[str], Any] = lambda line: None,
) -> Run:  # fmt: skip
    """Run `task`, unless it is stopped already, and seal its record.

    Args:
        task: what to run.
        reports: the folder of all records.
        installed: the environment; its `stopped` says why the task cannot run, if so.
        watching: runs a command, its output appended to a file.
        share: the part of the seconds of the install that this record bears.
        say: takes a line about a panel of the page that failed.
    """
    folder, spent = reports / task.name, {}
    facts: dict[str, Any] = {"versions": dict(installed.versions), "machine": environment.machine()}
    run = Run(cell=task.name, started_at=records.now(), environment=facts)
    if installed.stopped is None:
        began = time.perf_counter()
        ended = watching(list(task.command), folder / LOG)
        spent = {"the process": time.perf_counter() - began}
        if task.mode == records.EXPORT and ended.code == 0:
            run.state, facts["bundle"] = records.COMPLETE, _manifest(task.archived or bundle(reports, task.cell))
            if task.archived is not None:
                archives.enlist(task.archived)
        run = complete_record(folder, run, ended)
    else:
        run.stopped = installed.stopped
    run.environment["cell"] = {**task.cell.requested(), "installed": installed.versions}
    run.spent_s = {"environment": installed.seconds * share, **(run.spent_s or spent)}
    run.mode, run.inputs = task.mode, with_versions(task.request, installed.versions)
    run.ended_at = run.ended_at or records.now()
    records.seal(folder, run)
    try:
        report.write([run], folder / "index.html")
    except PanelError as error:
        say(str(error))
    return run


def _manifest(bundle: Path) -> dict[str, Any]:
    with archives.unpacked(bundle) as folder:
        manifest: dict[str, Any] = json.loads((folder / bundles.MANIFEST).read_text(encoding="utf-8"))
    return {key: manifest[key] for key in ("versions", "writer")}
