"""Many cells at a time: each is a tox environment, run by a process of its own, here or on a cluster's workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from parity import cells, records
from parity.cells import EXPORT, VERIFY, Cell
from parity.errors import RecordError
from parity.matrix.plan import why_absent
from parity.records import Run, Stopped

Show = Callable[[str], Any]


def stages(names: Iterable[str]) -> list[list[str]]:
    """The cells in the order in which they can run: exports come first, what reads them last."""
    roles = {name: Cell.parse(name).role for name in names}
    before = [n for n in roles if roles[n] == EXPORT] + [n for n in roles if not roles[n]]
    return [stage for stage in (before, [n for n in roles if roles[n] == VERIFY]) if stage]


def run_here(project: Path, names: Iterable[str], options: list[str], jobs: int, show: Show) -> None:
    """Run cells of `project` on this machine, `jobs` at a time; each leaves its records in `reports`.

    An interrupt is passed on to the cells that are running, which seal their records.
    """
    running: set[subprocess.Popen[str]] = set()
    for stage in stages(names):
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {pool.submit(run_tox, project, name, options, running): name for name in stage}
            try:
                for number, done in enumerate(as_completed(waiting), 1):
                    for line in done.result():
                        show(f"[{number}/{len(stage)}] {line}")
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in list(running):
                    with suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGINT)
                raise


def run_tox(project: Path, name: str, options: list[str], running: set[Any]) -> list[str]:
    """Run the cell `name` as a tox environment of `project`; what became of its records, a line each.

    What tox cannot even begin, for want of an interpreter or an index, is recorded as missing. While it runs, its
    process is in `running`.
    """
    command = [sys.executable, "-m", "tox", "run", "-q", "-x", f"tox.env_list={name}", "-e", name, "--", *options]
    child = subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace",
        start_new_session=True,
    )  # fmt: skip
    running.add(child)
    said, _ = child.communicate()
    running.discard(child)
    reports = project / "reports"
    told = [line for line in said.splitlines() if line.partition(":")[0] in _records_of(reports, name)]
    return told or [_unbegun(reports, name, said)]


def _records_of(reports: Path, name: str) -> set[str]:
    cell = Cell.parse(name)
    if cell.role != VERIFY:
        return {name}
    return {folder.name for folder in reports.glob(f"*-tf{cell.tensorflow}") if not folder.name.startswith("py")}


def _unbegun(reports: Path, name: str, said: str) -> str:
    """Record that a cell was not begun."""
    with suppress(RecordError):
        return f"{name}: {cells.outcome(records.read(reports / name)).status}"
    why = why_absent(name) or (said.strip().splitlines() or ["tox said nothing"])[-1]
    run = Run(cell=name, started_at=records.now(), environment={"cell": vars(Cell.parse(name))})
    run.ended_at, run.stopped = records.now(), Stopped(records.MISSING, "", why)
    records.seal(reports / name, run)
    return f"{name}: {records.MISSING}, {why}"
