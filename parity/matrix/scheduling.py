"""Many cells at a time: each is a tox environment, run by a process of its own, here or on a cluster's workers."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

import parity
from parity import records
from parity.core.errors import RecordError, UsageError
from parity.core.storage import output_folder
from parity.matrix import leash, running
from parity.matrix.plan import archive_of, why_absent
from parity.matrix.running import Task
from parity.records import Run, Stopped, cells
from parity.records.cells import ARCHIVE, EXPORT, VERIFY, Cell

Show = Callable[[str], Any]
WIDTH = 80
POLL_S = 0.5
_ASKING = threading.Lock()
"""Who looks for interpreters does so alone: the answers are kept, and sysconfig's first use is not safe in threads."""


def by_role(names: Iterable[str]) -> dict[str, list[str]]:
    """The cells that export, the pairs in one environment, and the cells that verify what was exported."""
    roles = {name: Cell.parse(name).role for name in names}
    keys = {"exports": (EXPORT, ARCHIVE), "pairs": ("",), "verifications": (VERIFY,)}
    return {key: [name for name in roles if roles[name] in wanted] for key, wanted in keys.items()}


def stages(names: Iterable[str]) -> list[list[str]]:
    """The cells in the order in which they can run: exports come first, what reads them last."""
    exports, pairs, verifications = by_role(names).values()
    return [stage for stage in ([*exports, *pairs], verifications) if stage]


def teller(show: Show, total: int) -> Callable[[list[str]], None]:
    """Shows what became of a cell, with how many there were until now, in lines that a terminal can hold."""
    numbers = itertools.count(1)

    def tell(said: list[str]) -> None:
        number = f"[{next(numbers)}/{total}]"
        for line in said:
            show(textwrap.fill(f"{number} {line}", WIDTH, subsequent_indent="    ", break_on_hyphens=False))

    return tell


def run_here(
    project: Path, names: list[str], options: list[str], jobs: int, show: Show, reports: Path | None = None
) -> None:
    """Run cells of `project` on this machine, `jobs` at a time; each leaves its records in `reports`, the project's.

    An interrupt is passed on to the cells that are running, which seal their records.
    """
    output_folder(reports or project / "reports")
    tell, interrupted = teller(show, len(names)), threading.Event()

    def run(name: str) -> list[str]:
        return settled(project, name, options, reports) or run_tox(project, name, options, interrupted.is_set, reports)

    for stage in stages(names):
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for done in as_completed([pool.submit(run, name) for name in stage]):
                    tell(done.result())
            except BaseException:
                interrupted.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def settled(project: Path, name: str, options: list[str], reports: Path | None = None) -> list[str]:
    """What became of the cell `name`, a line per record, where all of them are up to date; else nothing.

    That is known without tox where the project's code is what runs here, and no option asks for something else.
    """
    if options or Path(parity.__file__).resolve().parents[1] != project.resolve():
        return []
    reports = reports or project / "reports"
    tasks = _tasks(project, name, reports, options)
    runs = [running.standing(task, reports) for task in tasks]
    lines = [f"{run.cell}: {cells.outcome(run).status}, up to date" for run in runs if run is not None]
    return lines if len(lines) == len(tasks) else []


def _tasks(project: Path, name: str, reports: Path, options: list[str]) -> list[Task]:
    """The records that the cell `name` is to leave in `reports`, as tox.ini has it run."""
    return running.tasks(Cell.parse(name), reports, options, archive_of(project))


def run_tox(
    project: Path, name: str, options: list[str], unwanted: Callable[[], bool], reports: Path | None = None
) -> list[str]:
    """Run the cell `name` as a tox environment of `project`; what became of its records, a line each.

    It is interrupted once `unwanted` says so, and when this process ends. What tox cannot even begin, for want of an
    interpreter or an index, is recorded as missing.
    """
    command = [sys.executable, "-m", "tox", "run", "-q", "-x", f"tox.env_list={name}", "-e", name, "--"]
    command += [f"--reports={reports.resolve()}"] if reports else []
    command += options
    with tempfile.TemporaryFile() as out:
        leashed = [sys.executable, "-I", leash.__file__, *command]
        child = subprocess.Popen(
            leashed, cwd=project, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        assert child.stdin is not None
        while child.poll() is None:
            if unwanted():
                child.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLL_S)
        child.stdin.close()
        out.seek(0)
        said = re.sub(r"\x1b\[[0-9;]*m", "", out.read().decode(errors="backslashreplace"))
    expected = [task.name for task in _tasks(project, name, reports or project / "reports", [])]
    told = [line for line in said.splitlines() if _tells(line, expected)]
    if told:
        return told
    why = "interrupted" if unwanted() else _no_python(name) or _reason(said)
    return stop(project, name, Stopped(records.MISSING, "", why), reports)


def _no_python(name: str) -> str:
    with _ASKING, suppress(UsageError):  # nobody knows
        return why_absent(name)
    return ""


def _tells(line: str, names: Iterable[str]) -> bool:
    """Whether `line` is what `parity cell` says of one of these records; tox's own begin with names as well."""
    name, _, said = line.partition(": ")
    return name in names and said.partition(",")[0] in records.STATUSES


def _reason(said: str) -> str:
    """Why tox did not begin: the last error it speaks of, or else its last words before the summary."""
    errors = re.findall(r"(?m)^(?:error|parity): .*(?:\n +cause: .*)*", said)
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("  ")]
    return " ".join((errors or lines or [said.strip() or "tox said nothing"])[-1].split())


def stop(project: Path, name: str, stopped: Stopped, reports: Path | None = None) -> list[str]:
    """Seal what the cell `name` has not sealed itself, as `stopped`; what became of its records, a line each.

    A record from before stays where nothing was found now.
    """
    reports, lines = reports or project / "reports", []
    for task in _tasks(project, name, reports, []):
        folder, asked = reports / task.name, task.cell
        if (folder / "run.json").is_file() and stopped.status == records.MISSING:
            lines.append(f"{task.name}: as it was, not run now: {stopped.evidence}")
            continue
        run = Run(cell=task.name, started_at=records.now(), environment={})
        with suppress(RecordError):
            run = records.read(folder / "run.jsonl")  # what was seen before it was cut off
        run.environment["cell"] = {"jax": asked.jax, "tensorflow": asked.tensorflow, "python": asked.python}
        run.mode, run.stopped, run.ended_at = task.mode, stopped, records.now()
        records.seal(folder, run)
        lines.append(f"{task.name}: {stopped.status}, {stopped.evidence}")
    return lines
