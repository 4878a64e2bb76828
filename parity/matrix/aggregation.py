"""The records of many cells as one atlas: known issues applied again, counted, compared, written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from parity import records, report
from parity.compat import known_issues, readers
from parity.compat.readers import Limits
from parity.core.errors import PanelError, RecordError
from parity.core.failures import headline
from parity.core.storage import output_folder
from parity.records import ARCHIVE, EXPORT, FLEET, JOINT, MISSING, SPLIT, Run, Stopped, cells
from parity.records import atlas as atlases
from parity.records.atlas import Atlas
from parity.report import atlas as pages
from parity.report import atlas_text


@dataclass
class Joined:
    """The atlas of the records in a folder, and what the project's own lists lack.

    Attributes:
        atlas: of these records.
        previous: the atlas that was written there before, if any.
        runs: the records.
        changed: by folder, the records whose statuses the known issues change.
        unmatched: the ids of known issues that match no record.
        limits: by release of TensorFlow, the limits that it reported.
    """

    atlas: Atlas
    previous: Atlas | None
    runs: list[Run]
    changed: dict[Path, Run]
    unmatched: list[str]
    limits: dict[str, Limits]

    def problems(self) -> list[str]:
        """Return what is out of date in the lists, a sentence each."""
        found = [f"the known issue {name} matched nothing: remove or narrow it" for name in self.unmatched]
        for release, limits in self.limits.items():
            listed = readers.table().get(release)
            if listed != limits:
                has = listed or "nothing"
                found.append(f"readers.toml has {has} for tensorflow {release}, not {limits}: use --write-readers")
        return found


def join(reports: Path, planned: Mapping[str, str], out: Path | None = None, archived: Iterable[str] = ()) -> Joined:
    """Return the atlas of the records in `reports` and of the planned cells; write nothing.

    Args:
        reports: the folder of the records.
        planned: why a cell may have no record, by cell name.
        out: where the previous atlas is, if not with the records.
        archived: the jax releases whose exports are archived.

    Raises:
        UsageError: a planned name describes no cell, or the known issues cannot be read.
    """
    found = dict(recorded(reports))
    changed = {
        folder: run for folder, run in found.items() if known_issues.reapply(run) and (folder / "run.json").is_file()
    }
    previous = None
    with suppress(RecordError):  # there is none, or none that can be read: this one is written in its place
        previous = atlases.read((out or reports) / pages.DATA)
    runs = list(found.values())
    listed = {issue.id: issue for run in runs for issue in known_issues.of_run(run)}
    unmatched = [issue.id for issue in known_issues.unmatched(runs, listed.values())]
    joined = atlases.join(map(cells.row, runs), planned, archived)
    return Joined(joined, previous, runs, changed, unmatched, _limits(runs))


def recorded(reports: Path) -> Iterator[tuple[Path, Run]]:
    """Yield the folder and the run of every cell in `reports`, sealed or not."""
    for folder in sorted(path for path in reports.iterdir() if path.is_dir() and cells.of_record(path.name)):
        if any((folder / name).is_file() for name in ("run.json", "run.jsonl")):
            try:
                run = records.read(folder)
            except RecordError as error:
                run = _unreadable(folder.name, error)
            if run.cell != folder.name:
                run = _unreadable(folder.name, RecordError(f"the record in it is of a cell named {run.cell}"))
            yield folder, run


def _unreadable(name: str, error: RecordError) -> Run:
    """Return a record that says `missing`, in the place of one that cannot be read."""
    cell = cells.of_record(name)
    assert cell is not None
    run = Run(cell=name, started_at=records.now(), environment={"cell": cell.requested()})
    verified = (mode for mode in (SPLIT, FLEET, ARCHIVE) if name.startswith(mode))
    run.mode = next(verified, {EXPORT: EXPORT}.get(cell.role, JOINT))
    run.stopped = Stopped(MISSING, "", headline(str(error)))
    return run


def _limits(runs: Iterable[Run]) -> dict[str, Limits]:
    """Return the limits that releases of TensorFlow reported of themselves."""
    found = {}
    for run in runs:
        reader, release = run.environment.get("reader") or {}, run.environment.get("versions", {}).get("tensorflow")
        if release and reader.get("stablehlo") and reader.get("calling_convention"):
            found[release] = Limits(reader["stablehlo"], reader["calling_convention"])
    return found


def write(joined: Joined, out: Path, readme: Path | None) -> Path:
    """Write atlas.json and the page into the folder `out`, and the grid in `readme` if given; returns the page.

    Records whose statuses the known issues change are written again, with their pages.
    """
    for folder, run in joined.changed.items():
        records.seal(folder, run)
        try:
            report.write([run], folder / "index.html")
        except PanelError as error:
            print(error, file=sys.stderr)
    atlases.write(output_folder(out) / pages.DATA, joined.atlas)
    if readme is not None:
        atlas_text.update_readme(readme, joined.atlas)
    return pages.write(joined.atlas, joined.previous, out, joined.runs)
