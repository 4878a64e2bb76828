"""Records of many cells to one atlas: held against the known issues again, counted, compared, written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from parity import atlas as atlases
from parity import cells, known_issues, readers, records, report
from parity.atlas import Atlas
from parity.readers import Limits
from parity.records import EXPORT, Run
from parity.report import atlas as pages


@dataclass
class Joined:
    """The atlas of the records in a folder, and what is wrong with the lists that are kept beside them."""

    atlas: Atlas
    previous: Atlas | None
    unmatched: list[str] = field(default_factory=list)
    limits: dict[str, Limits] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What is out of date, a sentence each."""
        found = [f"the known issue {name} matched nothing: remove or narrow it" for name in self.unmatched]
        for release, said in self.limits.items():
            listed = readers.table().get(release)
            if listed != said:
                found.append(f"readers.toml has {listed} for tensorflow {release}, which says {said}")
        return found


def join(reports: Path, planned: Mapping[str, str]) -> Joined:
    """The atlas of the records in `reports` and of the cells that were planned.

    Args:
        reports: the folder of the records; those that the known issues see in another way now are written again.
        planned: why a cell may have no record, by cell name.
    """
    runs = [_settled(reports, run) for run in recorded(reports)]
    atlas = atlases.join((cells.row(run) for run in runs), planned)
    path = reports / pages.DATA
    previous = atlases.read(path) if path.is_file() else None
    unmatched = [issue.id for issue in known_issues.unmatched(runs, known_issues.load())]
    return Joined(atlas, previous, unmatched, _limits(runs))


def recorded(reports: Path) -> Iterable[Run]:
    """The runs of all cells in `reports`, sealed or not; what is no record of a cell is left alone."""
    for folder in sorted(path for path in reports.iterdir() if path.is_dir()):
        if any((folder / name).is_file() for name in ("run.json", "run.jsonl")):
            yield records.read(folder)


def _settled(reports: Path, run: Run) -> Run:
    issues = known_issues.load()
    settled = [known_issues.settle(known_issues.unsettled(check), run.environment, issues) for check in run.checks]
    if settled != run.checks:
        run.checks = settled
        records.seal(reports / run.cell, run)
        report.write([run], reports / run.cell / "index.html")
    return run


def _limits(runs: Iterable[Run]) -> dict[str, Limits]:
    """What releases of TensorFlow said of themselves, where they did."""
    said = {}
    for run in runs:
        reader = run.environment.get("reader", {})
        if reader.get("stablehlo") and reader.get("calling_convention") and run.mode != EXPORT:
            said[run.environment["versions"]["tensorflow"]] = Limits(**reader)
    return said


def write(joined: Joined, reports: Path, readme: Path | None) -> Path:
    """Write atlas.json, the page, and the grid in `readme` if given; returns the page."""
    atlases.write(reports / pages.DATA, joined.atlas)
    if readme is not None:
        atlases.update_readme(readme, joined.atlas)
    return pages.write(joined.atlas, joined.previous, reports)


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
