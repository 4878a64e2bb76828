"""The records of pairs: found where they are, made where they are not."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version

from parity import records
from parity.cases.case import available
from parity.compat import known_issues
from parity.core.errors import NotComparableError, RecordError, UsageError
from parity.core.failures import RESOLVER
from parity.matrix import building, plan, running, scheduling
from parity.matrix.supervising import Ended
from parity.records import COMPLETE, MISSING, Run, cells
from parity.records.cells import Cell, Outcome
from parity.upgrade.pins import Pair

PYTHONS = ("3.13", "3.12", "3.11", "3.10")
"""Those that parity supports, newest first."""
REFERENCE = "reference"
CASES = "cases"
_LONGEST = 80


@dataclass(frozen=True)
class Recorded:
    """A record of a pair: `folder` is where it is, and `current` whether a new run would be made from the same."""

    pair: Pair
    cell: Cell
    folder: Path
    run: Run
    current: bool

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return cells.outcome(self.run)

    @property
    def worst_score(self) -> float | None:
        """The highest score of a check that TensorFlow is part of."""
        score: float | None = cells.row(self.run)["worst_score"]
        return score


@dataclass(frozen=True)
class Bench:
    """Where records of one case under one set of options are kept, and how more of them are made.

    Attributes:
        project: the checkout whose tox.ini builds environments.
        reports: the folder of these records.
        options: of `parity run`.
        jobs: how many cells at a time.
        show: takes a line of progress.
        made: the names of the cells that were run.
    """

    project: Path
    reports: Path
    options: tuple[str, ...]
    jobs: int
    show: Callable[[str], Any]
    made: list[str] = field(default_factory=list)
    _seen: dict[str, Run | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, reports: Path, case: str, further: Iterable[str], jobs: int = 1, show: Callable[[str], Any] = print
    ) -> Bench:
        """The bench for `case` under further options: records of anything but the reference case lie apart.

        Without options those of the reference case are in `reports` itself, where the matrix puts them; all others are
        in `reports/cases/<case and options>`, so that they stand beside those and not in their place.

        Raises:
            UsageError: `jobs` is none, or there is no such case or file.
        """
        if jobs < 1:
            raise UsageError(f"--jobs {jobs}: expected 1 or more.")
        options = list(further)
        path, colon, name = case.rpartition(":")
        if colon:
            if not Path(path).is_file() or not name:
                raise UsageError(f"no case file {path}, or no name in it. Expected path/to/file.py:name.")
            file = Path(path).resolve()
            options = [f"--case={file}:{name}", *options]
        elif case not in available():
            raise UsageError(f"no case {case!r}. Expected one of {', '.join(available())}, or path/to/file.py:name.")
        elif case != REFERENCE:
            options = [f"--case={case}", *options]
        # Two files of one name are two cases.
        called = f"{file.stem}-{name}-{_hash(str(file))}" if colon else case
        apart = reports / CASES / _folder(called, further) if options else reports
        return cls(Path.cwd(), apart, tuple(options), jobs, show)

    @property
    def asked(self) -> tuple[str, ...]:
        """The options of a command that make it use this bench."""
        root = self.reports.parent.parent if self.options else self.reports
        return (*self.options, *([] if root == self.project / "reports" else [f"--reports={root}"]))

    def find(self, pair: Pair) -> list[Recorded]:
        """The records of `pair`, on any Python, best first: up to date, then the newest Python."""
        folders = self.reports.glob(f"*jax{pair.jax}-tf{pair.tensorflow}")
        found = [recorded for folder in folders if (recorded := self._recorded(pair, folder.name))]
        return sorted(found, key=lambda r: (r.current, Version(r.cell.python or "0")), reverse=True)

    def read(self, name: str) -> Run | None:
        """The record of the cell `name`, held against the known issues; None if there is none, or nothing was seen."""
        if name not in self._seen:
            self._seen[name] = None
            with suppress(RecordError):
                run = records.read(self.reports / name / "run.json")
                known_issues.reapply(run)
                self._seen[name] = run if run.cell == name and _answered(run) else None
        return self._seen[name]

    def _recorded(self, pair: Pair, name: str) -> Recorded | None:
        if of_cell(name) != pair or (run := self.read(name)) is None:
            return None
        cell = Cell.parse(name)
        [task] = running.tasks(cell, self.reports, list(self.options))
        return Recorded(pair, cell, self.reports / name, run, run.inputs == task.inputs)

    def make(self, pairs: Iterable[Pair], python: str) -> dict[Pair, Recorded]:
        """Run the cells of `pairs` on that Python; their records.

        Raises:
            UsageError: this is no checkout of parity.
            NotComparableError: one of them could not be run; the message says why.
        """
        names = {pair: pair.cell(python) for pair in pairs}
        if names and not (self.project / "tox.ini").is_file():
            raise UsageError(
                f"{', '.join(names.values())} must be run, and there is no tox.ini in {self.project}. Run this where "
                "parity is checked out, or with --reports where these records are."
            )
        apart = None if self.reports == self.project / "reports" else self.reports
        before = {name: self._seen.pop(name, None) for name in names.values()}
        scheduling.run_here(self.project, list(names.values()), list(self.options), self.jobs, self.show, apart)
        self.made.extend(names.values())
        found = {}
        for pair, name in names.items():
            recorded, was = self._recorded(pair, name), before[name]
            if recorded is None:
                why = _why_missing(self.reports / name)
                raise NotComparableError(f"{name} could not be run: {why}. Mend that, and run this again.")
            # Where tox cannot even begin, an older record stays.
            if was is not None and not recorded.current and was.started_at == recorded.run.started_at:
                raise NotComparableError(f"{name} was not run, as said above. Mend that, and run this again.")
            found[pair] = recorded
        return found


def _answered(run: Run) -> bool:
    """Whether there is something to judge: a run that ended counts, whatever of its plan is missing in it."""
    return cells.outcome(run).status != MISSING or (run.state == COMPLETE and run.stopped is None)


def of_cell(name: str) -> Pair | None:
    """The pair that a cell of that name has in one environment of one Python; None where it has none."""
    try:
        cell = Cell.parse(name)
    except UsageError:
        return None
    paired = cell.python and cell.jax and cell.tensorflow and not cell.role
    return Pair(str(cell.jax), str(cell.tensorflow)) if paired else None


def _folder(case: str, options: Iterable[str]) -> str:
    name = re.sub(r"[^\w.=+-]+", "_", "-".join([case, *(option.lstrip("-") for option in options)]))
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{_hash(name)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _why_missing(folder: Path) -> str:
    try:
        return cells.outcome(records.read(folder)).evidence or "it left nothing to judge"
    except RecordError as error:
        return str(error)


def uninstallable(pair: Pair, python: str) -> str:
    """Why a resolver finds no set of releases for `pair` on that Python; empty where it finds one.

    Raises:
        UsageError: uv is not installed.
        NotComparableError: it could not find out.
    """
    cell = Cell.parse(pair.cell(python))
    command = [
        building.uv(), "pip", "compile", "-q", "--no-header", "--color", "never", "--python-version", python, "-",
    ]  # fmt: skip
    wanted = "\n".join(building.wanted(cell))
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
    refused = building.refused(Ended(done.returncode, False, False, 0, done.stderr), 0.0)
    if refused is None:
        return ""
    if refused.failure != RESOLVER:
        raise NotComparableError(f"{pair} on Python {python}: {refused.evidence}. Mend that, and run this again.")
    return refused.evidence


def on_one_python(
    pairs: Iterable[Pair], found: Mapping[Pair, Iterable[Recorded]], only: str | None = None
) -> tuple[str, str]:
    """A Python for all of `pairs`, and why that one.

    Where all are recorded on one, that; else the first that can install all, in the order of how many are recorded on
    it already, then the newest; where none can, the one that can install most.

    Args:
        pairs: what is to be run or compared.
        found: what of it is recorded.
        only: the one Python to use, if the user names it.

    Raises:
        UsageError: there is none of these Pythons here, or not that one.
    """
    wanted = list(dict.fromkeys(pairs))
    everything = "both" if len(wanted) == 2 else f"all {len(wanted)}"
    on = {python: sum(any(r.cell.python == python for r in found[p]) for p in wanted) for python in PYTHONS}
    if only is not None:
        if only not in PYTHONS or not (on[only] == len(wanted) or plan.has_python(only)):
            raise UsageError(f"--python {only}: there is no such Python here. Expected one of {', '.join(PYTHONS)}.")
        return only, "as asked for"
    for python in PYTHONS:
        if on[python] == len(wanted):
            return python, f"on which {everything} are recorded"
    here = sorted((python for python in PYTHONS if plan.has_python(python)), key=lambda python: -on[python])
    if not here:
        raise UsageError(f"there is no Python here that parity supports. Install one of {', '.join(PYTHONS)}.")
    refused: dict[str, int] = {}
    for python in here:
        refused[python] = sum(bool(uninstallable(pair, python)) for pair in wanted)
        if not refused[python]:
            had = f"and on which {on[python]} are recorded" if on[python] else "the newest here that can"
            return python, f"on which {everything} can be installed, {had}"
    best = min(here, key=lambda python: refused[python])
    return best, f"on which {len(wanted) - refused[best]} of {len(wanted)} can be installed, and on none here more"
