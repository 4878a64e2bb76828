"""Records of the cells of pairs: found where they are, made through the matrix where they are not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from parity import records
from parity.cases.loading import available
from parity.compat import known_issues
from parity.core import processes
from parity.core.errors import NotComparableError, RecordError, UsageError
from parity.core.failures import RESOLVER
from parity.matrix import installation, resolving, settings, tox
from parity.matrix.installation import NOTHING
from parity.matrix.project import Project, read
from parity.matrix.tasks import is_current, is_settled, tasks
from parity.records import COMPLETE, MISSING, Run, cells
from parity.records.cells import Cell, Outcome
from parity.upgrade.pairs import Pair
from parity.upgrade.reasons import Finding, Reason

PYTHONS = ("3.13", "3.12", "3.11", "3.10")
"""The Pythons that parity supports, newest first."""
REFERENCE = "reference"
_LONGEST_FOLDER = 80


@dataclass(frozen=True)
class CellRecord:
    """The record of a cell in `folder`; `current`: it was made now, or a new run would have the same inputs and end."""

    cell: Cell
    folder: Path
    run: Run
    current: bool

    @property
    def outcome(self) -> Outcome:
        """Status, class of failure and evidence of the cell."""
        return cells.outcome(self.run)

    @property
    def worst_score(self) -> float | None:
        """The highest score of a check that TensorFlow is part of."""
        score: float | None = cells.row(self.run)["worst_score"]
        return score


@dataclass(frozen=True)
class CellRunner:
    """Find and make the records of one case under one set of options.

    Attributes:
        project: the folder whose requirements are installed too, and that environments are built in.
        reports: the folder of these records.
        options: of `parity run`.
        jobs: how many cells run at a time.
        show: takes a line of progress.
        required: what the project requires.
        made: the names of the cells that were run.
    """

    project: Path
    reports: Path
    options: tuple[str, ...]
    jobs: int
    show: Callable[[str], Any]
    required: Project = NOTHING
    made: list[str] = field(default_factory=list)
    _seen: dict[str, Run | None] = field(default_factory=dict)

    @classmethod
    def for_case(
        cls, reports: Path, case: str, further: Iterable[str], jobs: int = 1, show: Callable[[str], Any] = print
    ) -> CellRunner:
        """Return the runner for `case` with further options of `parity run`.

        The records of the reference case without options are in `reports`, where the matrix writes them; all others
        are in `reports/cases/<case and options>`, so that neither replaces the other.

        Raises:
            UsageError: `jobs` is less than 1, or there is no such case or file.
        """
        if jobs < 1:
            raise UsageError(f"--jobs {jobs}: expected 1 or more.")
        further = list(further)
        path, colon, name = case.rpartition(":")
        if colon:
            if not Path(path).is_file() or not name:
                raise UsageError(f"no case file {path}, or no name in it. Expected path/to/file.py:name.")
            file, here = Path(path).resolve(), Path.cwd().resolve()
            file = file.relative_to(here) if here in file.parents else file  # the same on another machine
            options = [f"--case={file}:{name}", *further]
            case = f"{file.stem}-{name}-{_hash(str(file))}"  # two files of one name are two cases
        elif case not in available():
            raise UsageError(f"no case {case!r}. Expected one of {', '.join(available())}, or path/to/file.py:name.")
        else:
            options = further if case == REFERENCE else [f"--case={case}", *further]
        folder = reports / "cases" / _folder_name(case, further) if options else reports
        return cls(Path.cwd(), folder, tuple(options), jobs, show, read(Path.cwd()))

    @property
    def command_options(self) -> tuple[str, ...]:
        """The options of a command that make it use these records."""
        root = self.reports.parent.parent if self.options else self.reports
        return (*self.options, *([] if root == self.project / "reports" else [f"--reports={root}"]))

    def find(self, pair: Pair) -> list[CellRecord]:
        """Return the records of `pair` on any Python: current ones first, then the newest Python."""
        folders = self.reports.glob(f"*jax{pair.jax}-tf{pair.tensorflow}")
        found = [record for folder in folders if (record := self._record(pair, folder.name))]
        return sorted(found, key=lambda r: (r.current, Version(r.cell.python or "0")), reverse=True)

    def read(self, name: str) -> Run | None:
        """Return the record of the cell `name` with today's known issues applied; None if it has no outcome."""
        if name not in self._seen:
            self._seen[name] = None
            with suppress(RecordError):
                run = records.read(self.reports / name / "run.json")
                known_issues.reapply(run)
                # An interrupted run may be continued; the checks missing from one that ended are an outcome.
                ended = cells.outcome(run).status != MISSING or (run.state == COMPLETE and run.stopped is None)
                self._seen[name] = run if run.cell == name and ended else None
        return self._seen[name]

    def names(self) -> set[str]:
        """Return the names of the folders that hold a record."""
        return {path.parent.name for path in self.reports.glob("*jax*-tf*/run.json*")}

    def _record(self, pair: Pair, name: str) -> CellRecord | None:
        if pair_of_cell(name) != pair or (run := self.read(name)) is None:
            return None
        cell = Cell.parse(name)
        [task] = tasks(cell, self.reports, list(self.options), project=self.required)
        return CellRecord(cell, self.reports / name, run, is_current(run, task) and is_settled(run))

    def run(self, pairs: Iterable[Pair], python: str) -> dict[Pair, CellRecord]:
        """Run the cells of `pairs` on that Python and return their records.

        Raises:
            UsageError: parity cannot be installed elsewhere as it is installed here.
            NotComparableError: a cell could not be run; the message says why.
        """
        names = {pair: pair.cell(python) for pair in pairs}
        elsewhere = None if self.reports == self.project / "reports" else self.reports
        before = {name: self._seen.pop(name, None) for name in names.values()}
        built = settings.write(self.project)
        listed, options = list(names.values()), list(self.options)
        tox.run_cells(self.project, listed, options, self.jobs, self.show, elsewhere, settings=built)
        self.made.extend(names.values())
        found = {}
        for pair, name in names.items():
            record, older = self._record(pair, name), before[name]
            if record is None:
                why = _why_missing(self.reports / name)
                raise NotComparableError(f"{name} could not be run: {why}. Correct that, and run this command again.")
            # An older record stays where tox cannot even start.
            if older is not None and not record.current and older.started_at == record.run.started_at:
                raise NotComparableError(f"{name} was not run; see above. Correct that, and run this command again.")
            found[pair] = replace(record, current=True)
        return found


def pair_of_cell(name: str) -> Pair | None:
    """Return the pair of a cell that has both packages in one environment of one Python; None for any other cell."""
    with suppress(UsageError):
        cell = Cell.parse(name)
        if cell.python and cell.jax and cell.tensorflow and not cell.role:
            return Pair(cell.jax, cell.tensorflow)
    return None


def _folder_name(case: str, options: Iterable[str]) -> str:
    name = re.sub(r"[^\w.=+-]+", "_", "-".join([case, *(option.lstrip("-") for option in options)]))
    return name if len(name) <= _LONGEST_FOLDER else f"{name[: _LONGEST_FOLDER - 9]}-{_hash(name)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _why_missing(folder: Path) -> str:
    try:
        return cells.outcome(records.read(folder)).evidence or "its record has no checks"
    except RecordError as error:
        return str(error)


def installed_name(package: str, pair: Pair, python: str) -> str:
    """Return the name under which cells install `package` on this machine, such as `tensorflow-cpu`."""
    names = [Requirement(text).name for text in installation.requirements(Cell.parse(pair.cell(python)))]
    return next(name for name in names if name.startswith(package))


def why_uninstallable(pair: Pair, python: str, project: Project = NOTHING) -> str:
    """Return why no set of releases satisfies `pair` and `project` on that Python; empty if one does.

    Raises:
        UsageError: uv is not installed.
        NotComparableError: the resolver could not decide, for example because the index is out of reach.
    """
    try:
        refused = resolving.refused(Cell.parse(pair.cell(python)), project, python)
    except processes.ProcessSilentError as error:
        raise NotComparableError(f"{pair} on Python {python}: {error}. Run this again.") from None
    if refused is None:
        return ""
    if refused.failure != RESOLVER:
        raise NotComparableError(f"{pair} on Python {python}: {refused.evidence}. Correct that, and run this again.")
    return refused.evidence


def choose_python(
    pairs: Iterable[Pair],
    found: Mapping[Pair, Iterable[CellRecord]],
    only: str | None = None,
    project: Project = NOTHING,
) -> tuple[str, Finding]:
    """Return a Python for all of `pairs`, and a finding that says why.

    The Python on which all pairs are recorded; else the first here that can install all, ordered by the number of
    pairs recorded on it, then newest first; else the one that can install most.

    Args:
        pairs: what is to be run or compared.
        found: the records of each.
        only: the one Python to use, if the user names it.
        project: what must be installed beside each pair.

    Raises:
        UsageError: none of these Pythons is on this machine, or not the named one.
    """
    pairs = list(dict.fromkeys(pairs))
    recorded = {python: sum(any(r.cell.python == python for r in found[p]) for p in pairs) for python in PYTHONS}
    complete = [python for python in PYTHONS if recorded[python] == len(pairs)]

    def chosen(python: str, reason: Reason, **counts: int) -> tuple[str, Finding]:
        return python, Finding("python", reason, {"python": python, "pairs": len(pairs), **counts})

    if only is not None:
        if only not in PYTHONS or not (only in complete or tox.has_python(only)):
            raise UsageError(f"--python {only}: there is no such Python here. Expected one of {', '.join(PYTHONS)}.")
        return chosen(only, Reason.PYTHON_NAMED)
    if complete:
        return chosen(complete[0], Reason.PYTHON_RECORDED)
    here = sorted((python for python in PYTHONS if tox.has_python(python)), key=lambda python: -recorded[python])
    if not here:
        raise UsageError(f"no Python that parity supports is on this machine. Install one of {', '.join(PYTHONS)}.")
    installable: dict[str, int] = {}
    for python in here:
        installable[python] = sum(not why_uninstallable(pair, python, project) for pair in pairs)
        if installable[python] == len(pairs):
            return chosen(python, Reason.PYTHON_INSTALLS, recorded=recorded[python])
    best = max(here, key=lambda python: installable[python])
    return chosen(best, Reason.PYTHON_INSTALLS_MOST, installable=installable[best])
