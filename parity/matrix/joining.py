"""Records of many cells to one atlas: held against the known issues again, counted, compared, written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from parity import records, report
from parity.compat import known_issues, readers
from parity.compat.readers import Limits
from parity.core.errors import RecordError
from parity.core.failures import headline
from parity.core.storage import output_folder
from parity.matrix import atlas as atlases
from parity.matrix.atlas import Atlas
from parity.records import ARCHIVE, EXPORT, FLEET, JOINT, MISSING, SPLIT, Run, Stopped, cells
from parity.report import atlas as pages


@dataclass
class Joined:
    """The atlas of the records in a folder, and what is wrong with the lists that are kept beside them.

    `previous` is the atlas that was written there before; `runs` are the records; `settled` are those, by their
    folders, that the known issues see in another way than when they were written.
    """

    atlas: Atlas
    previous: Atlas | None
    runs: list[Run] = field(default_factory=list)
    settled: dict[Path, Run] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    limits: dict[str, Limits] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What is out of date, a sentence each."""
        found = [f"the known issue {name} matched nothing: remove or narrow it" for name in self.unmatched]
        for release, said in self.limits.items():
            listed = readers.table().get(release)
            if listed != said:
                has = listed or "nothing"
                found.append(f"readers.toml has {has} for tensorflow {release}, which says {said}: --write-readers")
        return found


def join(reports: Path, planned: Mapping[str, str], out: Path | None = None, archived: Iterable[str] = ()) -> Joined:
    """The atlas of the records in `reports` and of the cells that were planned; nothing is written.

    Args:
        reports: the folder of the records.
        planned: why a cell may have no record, by cell name.
        out: where the previous atlas is, if not with the records.
        archived: the jax releases whose exports are archived.

    Raises:
        UsageError: a planned name describes no cell, or the known issues cannot be read.
    """
    found = dict(recorded(reports))
    settled = {
        folder: run for folder, run in found.items() if known_issues.reapply(run) and (folder / "run.json").is_file()
    }
    previous = None
    with suppress(RecordError):  # there is none, or none that can be read: this one is written in its place
        previous = atlases.read((out or reports) / pages.DATA)
    runs = list(found.values())
    unmatched = [issue.id for issue in known_issues.unmatched(runs, known_issues.load())]
    joined = atlases.join(map(cells.row, runs), planned, archived)
    return Joined(joined, previous, runs, settled, unmatched, _limits(runs))


def recorded(reports: Path) -> Iterator[tuple[Path, Run]]:
    """The folders and runs of all cells in `reports`, sealed or not; what is no record of a cell is left alone."""
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
    """Stands for a record that cannot be read, which is as good as none."""
    cell = cells.of_record(name)
    assert cell is not None
    asked = {"jax": cell.jax, "tensorflow": cell.tensorflow, "python": cell.python}
    run = Run(cell=name, started_at=records.now(), environment={"cell": asked})
    verified = (mode for mode in (SPLIT, FLEET, ARCHIVE) if name.startswith(mode))
    run.mode = next(verified, {EXPORT: EXPORT}.get(cell.role, JOINT))
    run.stopped = Stopped(MISSING, "", headline(str(error)))
    return run


def _limits(runs: Iterable[Run]) -> dict[str, Limits]:
    """What releases of TensorFlow said of themselves, where they did."""
    said = {}
    for run in runs:
        reader, release = run.environment.get("reader") or {}, run.environment.get("versions", {}).get("tensorflow")
        if release and reader.get("stablehlo") and reader.get("calling_convention"):
            said[release] = Limits(reader["stablehlo"], reader["calling_convention"])
    return said


def write(joined: Joined, out: Path, readme: Path | None) -> Path:
    """Write atlas.json and the page into the folder `out`, and the grid in `readme` if given; returns the page.

    The records that the known issues see in another way now are written again, with their pages.
    """
    for folder, run in joined.settled.items():
        records.seal(folder, run)
        report.write([run], folder / "index.html")
    atlases.write(output_folder(out) / pages.DATA, joined.atlas)
    if readme is not None:
        atlases.update_readme(readme, joined.atlas)
    return pages.write(joined.atlas, joined.previous, out, joined.runs)


def table(atlas: Atlas, width: int) -> str:
    """A line per cell for the terminal: what became of it, and what it took."""
    out = io.StringIO()
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("cell", "", "outcome", "worst score", "seconds"):
        shown.add_column(name, overflow="fold", justify="right" if name in ("worst score", "seconds") else "left")
    for row in atlas.cells:
        said = atlases.words(row)
        seconds = sum(row["seconds"].values())
        shown.add_row(row["cell"], atlases.sign(row), said, atlases.score(row["worst_score"]), f"{seconds:.0f}")
    Console(file=out, width=max(width, 60), color_system=None).print(shown)
    return out.getvalue().rstrip()
