"""The atlas to one self-contained HTML file: no request to anywhere, and readable without its script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from parity.core.storage import output_folder, write_atomically
from parity.matrix import atlas as atlases
from parity.matrix.atlas import AGREES, APART, MENDED, UNSEEN, Atlas, Change, Grid, Row
from parity.records import ARCHIVE, FLEET, JOINT, SPLIT, Run, measures
from parity.report import every_check, footprints, handover, newest, render, trust

DATA, PAGE = "atlas.json", "index.html"
WHOLE = f"handover/{PAGE}"
OPEN_CHANGES = 20
"""More changes than these are folded."""

TITLES = {
    JOINT: ("In one environment", "jax and tensorflow are installed together; the model is trained, exported and run."),
    SPLIT: (
        "In separate environments",
        "Exported where jax is, judged where TensorFlow is alone; so pairs meet that cannot be installed together.",
    ),
    FLEET: ("One export for all readers", "The same files, written once by this jax, judged in every TensorFlow."),
    ARCHIVE: (
        "Archived exports, read again",
        "A small model, exported once by this jax and kept since; every TensorFlow must go on reading it.",
    ),
}


def write(atlas: Atlas, previous: Atlas | None, folder: Path, runs: Sequence[Run] = ()) -> Path:
    """Write the page of `atlas`, and what changed since `previous`, to `folder`/index.html.

    A cell is linked to its own page where `folder`/<cell>/index.html exists, so write those first. `runs` are the
    records behind the atlas, where they are at hand: the page then has a table of all their checks.

    Raises:
        UsageError: jinja2 is not installed, or `folder` is a file.
        StorageError: the file cannot be written.
    """
    path = output_folder(folder) / PAGE
    views = {id(row): _view(row, folder) for row in atlas.cells}
    total = atlases.cost(atlas)
    page = render(
        "atlas.html.j2",
        atlas=atlas,
        verdict=atlases.verdict(atlas),
        state=_state(atlas),
        unblocking=newest.unblocking(atlas),
        changes=_changes(previous, atlas, views) if previous else None,
        previous=previous,
        open_changes=OPEN_CHANGES,
        grown=measures.GROWN,
        doctor=_doctor(list(views.values())),
        grids=[_grid(atlases.grid(atlas, mode), views) for mode in atlases.PAIRED],
        costs=footprints.view(atlas),
        cells=views.values(),
        checks=every_check.view(runs, {view["row"]["cell"]: view["page"] for view in views.values()}),
        data=DATA if (folder / DATA).is_file() else None,
        cost=total,
        total=sum(total.values()),
        trust=trust.view(),
        handover=handover.of_the_whole(),
        whole=WHOLE if (folder / WHOLE).is_file() else None,
        timed=sum(bool(row["seconds"]) for row in atlas.cells),
    )
    write_atomically(path, page)
    return path


def _state(atlas: Atlas) -> tuple[str, str]:
    """Sign and style of the verdict."""
    kinds = {atlases.kind(row) for row in atlas.cells}
    if kinds - {AGREES, MENDED, APART, UNSEEN}:
        return "✗", ""
    return ("?", "") if UNSEEN in kinds or not kinds else ("✓", "ok")


def _view(row: Row, folder: Path) -> dict[str, Any]:
    return {
        "row": row,
        "kind": atlases.kind(row),
        "sign": atlases.sign(row),
        "words": atlases.words(row),
        "anchor": re.sub(r"[^\w.-]+", "_", f"{row['mode']}-{row['cell']}"),
        "order": {name: _padded(row[name]) for name in ("jax", "tensorflow")},
        "page": f"{quote(row['cell'], errors='surrogateescape')}/{PAGE}"
        if (folder / row["cell"] / PAGE).is_file()
        else None,
        "foreseen": atlases.foreseen(row),
        "versions": ", ".join(f"{name} {version}" for name, version in _versions(row).items() if version),
        "seconds": sorted(row["seconds"].items(), key=lambda spent: -spent[1]),
    }


def _versions(row: Row) -> dict[str, str | None]:
    return {"Python": row["python"], **row["versions"]}


def _padded(release: str | None) -> str:
    """Sorts as text where a release sorts by its numbers."""
    return re.sub(r"\d+", lambda number: number[0].zfill(6), release or "")


def _grid(grid: Grid, views: dict[int, Any]) -> dict[str, Any]:
    title, caption = TITLES[grid.mode]
    return {
        "mode": grid.mode,
        "title": title,
        "caption": caption,
        "columns": grid.columns,
        "lines": [(jax, [[views[id(row)] for row in pair] for pair in line]) for jax, line in grid.lines],
        "outside": [views[id(row)] for row in grid.outside],
    }


def _doctor(cells: list[dict[str, Any]]) -> dict[str, Any]:
    counted = [cell for cell in cells if cell["foreseen"] is not None]
    return {
        "counted": len(counted),
        "right": sum(cell["foreseen"] for cell in counted),
        "wrong": [cell for cell in counted if not cell["foreseen"]],
        "uncounted": len(cells) - len(counted),
    }


def _changes(previous: Atlas, atlas: Atlas, views: dict[int, Any]) -> list[tuple[Change, str | None]]:
    """Each change with the anchor of its cell; None for a cell that is gone."""
    anchors = {(row["mode"], row["cell"]): views[id(row)]["anchor"] for row in atlas.cells}
    return [(change, anchors.get((change.mode, change.cell))) for change in atlases.changes(previous, atlas)]
