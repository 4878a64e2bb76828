"""The cells that tox.ini declares, and cells run as tox environments."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from parity import records
from parity.core import processes, silence
from parity.core.errors import RecordError, UsageError
from parity.core.failures import TIMEOUT
from parity.core.storage import output_folder
from parity.matrix.cell_run import summary
from parity.matrix.installation import uv
from parity.matrix.orphan_guard import SILENT
from parity.matrix.tasks import Task, tasks
from parity.records import Run, Stopped
from parity.records.cells import ARCHIVE, EXPORT, VERIFY, Cell

DEFAULT = "default"
"""The label of the cells that `tox` runs without options."""
_POLL_S = 0.5


def declared(project: Path, label: str) -> list[str]:
    """Return the names of the cells that tox.ini of `project` has under `label`.

    Raises:
        UsageError: tox is not installed, or has no cell under that label.
    """
    which = ["-d"] if label == DEFAULT else ["-m", label]
    command = [sys.executable, "-m", "tox", "list", "--no-desc", "-q", *which]
    done = processes.run(command, cwd=project)
    names = [line.strip() for line in done.stdout.splitlines()]
    found = [name for name in dict.fromkeys(names) if _is_cell(name)]
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["it lists no cell"])[-1]
        raise UsageError(f"tox has no cells under {label!r} in {project}: {reason}. Expected a label of tox.ini.")
    return found


def _is_cell(name: str) -> bool:
    with suppress(UsageError):
        return bool(Cell.parse(name))
    return False


def archive_of(project: Path) -> Path | None:
    """Return the folder of archived bundles that tox.ini of `project` gives to its cells; None where there is none."""
    archive = project / "fixtures" / "bundles"
    return archive if archive.is_dir() else None


def by_role(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the cells that export, the pairs in one environment, and the cells that verify exports."""
    roles = {name: Cell.parse(name).role for name in names}
    keys = {"exports": (EXPORT, ARCHIVE), "pairs": ("",), "verifications": (VERIFY,)}
    return {key: [name for name in roles if roles[name] in of_key] for key, of_key in keys.items()}


@cache
def has_python(version: str) -> bool:
    """Return whether this machine has that Python, searched as tox-uv searches.

    Raises:
        UsageError: uv is not installed, or cannot search.
    """
    options = ["--no-python-downloads", "--python-preference", "system"]
    command = [uv(), "python", "find", *options, f"cpython{version}"]
    done = processes.run(command)
    if done.returncode and "interpreter" not in done.stderr:  # none is found, or it cannot be started
        raise UsageError(f"uv cannot look for Python {version}: {done.stderr.strip()}. Correct its settings.")
    return done.returncode == 0


def why_absent(name: str) -> str:
    """Return why the cell `name` may have no record; empty where no reason is known."""
    python = Cell.parse(name).python
    return f"no Python {python} here" if python and not has_python(python) else ""


def run_cells(
    project: Path,
    names: list[str],
    options: list[str],
    jobs: int,
    show: Callable[[str], Any],
    reports: Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    settings: Iterable[str] = (),
) -> None:
    """Run cells as tox environments of `project`, by one `tox run-parallel`, and show the outcome of each record.

    A cell that tox cannot start, for example without its Python, gets a record that says why. When this process is
    interrupted or killed, the cells are interrupted, and seal their records.

    Args:
        project: the folder of tox.ini.
        names: of the cells; tox.ini need not list them.
        options: options of `parity cell` and `parity run`.
        jobs: how many run at a time.
        show: takes a line for each record; the output of tox goes to standard error.
        reports: the folder of the records; `reports` of the project if None.
        cancelled: returns whether the cells are to be interrupted.
        settings: options of tox that name another tox.ini than the project's.
    """
    reports = output_folder(reports or project / "reports").resolve()
    with tempfile.TemporaryDirectory(prefix="parity-tox-") as scratch:
        results = Path(scratch) / "results.json"
        listed = ",".join(names)
        tox = [sys.executable, "-m", "tox", "run-parallel", *settings, "-q", f"--parallel={jobs}"]
        tox += ["--parallel-no-spinner"]
        tox += [f"--result-json={results}", "-x", f"tox.env_list={listed}", "-e", listed]
        code = _guarded([*tox, "--", f"--reports={reports}", "--quiet", *options], project, cancelled)
        environments = {}
        with suppress(OSError, ValueError):  # an interrupted tox writes none
            environments = json.loads(results.read_text(encoding="utf-8"))["testenvs"]
    silent = f"tox made no progress for {silence.limit_s(silence.TOX):g} s" if code == SILENT else ""
    for name in names:
        reason = "interrupted" if cancelled() else silent or _not_started(name, environments.get(name))
        for task in tasks_of(project, name, reports):
            missing = bool(reason) or not (reports / task.name / "run.json").is_file()
            stopped = Stopped(records.MISSING, TIMEOUT if silent else "", reason or "it left no record")
            show(seal_stopped(task, reports, stopped) if missing else _summary(reports / task.name))


def _guarded(command: list[str], project: Path, cancelled: Callable[[], bool]) -> int:
    guard = [sys.executable, "-I", "-m", "parity.matrix.orphan_guard", *command]
    with subprocess.Popen(guard, cwd=project, stdin=subprocess.PIPE, stdout=2, start_new_session=True) as process:
        assert process.stdin is not None
        try:
            while process.poll() is None and not cancelled():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        finally:
            process.stdin.close()
            process.wait()
    return process.returncode


def tasks_of(project: Path, name: str, reports: Path, options: Iterable[str] = ()) -> list[Task]:
    """Return the records that the cell `name` of `project` must leave in `reports`."""
    return tasks(Cell.parse(name), reports, list(options), archive_of(project))


def _summary(folder: Path) -> str:
    try:
        return summary(records.read(folder))
    except RecordError as error:
        return f"{folder.name}: {error}"


def _not_started(name: str, environment: dict[str, Any] | None) -> str:
    """Return why tox did not start `parity cell`, or it refused to start; empty where it ran.

    Args:
        name: of the cell.
        environment: what tox reports of it.
    """
    if environment is None:
        return "tox was interrupted"
    commands = [*environment.get("setup", []), *environment.get("test", [])]
    failed = [command for command in commands if command["retcode"]]
    if environment.get("test") and all(command["retcode"] in (0, 1) for command in environment["test"]):
        return ""
    with suppress(UsageError):  # uv cannot search
        if absent := why_absent(name):
            return absent
    text = "".join(command["err"] or command["output"] for command in failed[-1:])
    errors = _ERROR.findall(text) or text.strip().splitlines()[-1:]
    return " ".join(errors[-1].split()) if errors else "tox could not start it, and gave no reason"


_ERROR = re.compile(r"(?m)^(?:error|parity): .*(?:\n +\S.*)*")


def seal_stopped(task: Task, reports: Path, stopped: Stopped) -> str:
    """Seal a record of `task` that says what stopped it, and return its summary.

    What an unsealed record has seen is kept. An earlier record stays where the new one would only be missing.
    """
    folder = reports / task.name
    if (folder / "run.json").is_file() and stopped.status == records.MISSING:
        return f"{task.name}: as it was, not run now: {stopped.evidence}"
    run = Run(cell=task.name, started_at=records.now(), environment={})
    with suppress(RecordError):
        run = records.read(folder / "run.jsonl")
    run.environment["cell"] = task.cell.requested()
    run.mode, run.stopped, run.ended_at = task.mode, stopped, records.now()
    records.seal(folder, run)
    return summary(run)
