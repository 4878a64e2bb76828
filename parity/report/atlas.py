"""The atlas as one self-contained HTML file: no request to anywhere, and readable without its script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from parity.core.storage import output_folder, write_atomically
from parity.records import ARCHIVE, FLEET, IN_ORDER, JOINT, SPLIT, Check, Run, measures
from parity.records import atlas as atlases
from parity.records.atlas import AGREES, NOT_INSTALLABLE, NOT_RUN, WITH_REMEDY, Atlas, Change, Grid, Row
from parity.report import advice, atlas_text, facts, footprints, handover, render, tables
from parity.report.numbers import number, rank

DATA, PAGE = "atlas.json", "index.html"
HANDOVER_PAGE = f"handover/{PAGE}"
OPEN_CHANGES = 20
"""More changes than these are folded."""

TITLES = {
    JOINT: ("In one environment", "jax and tensorflow are installed together; the model is trained, exported and run."),
    SPLIT: (
        "In separate environments",
        "Exported where jax is, checked where TensorFlow is alone; so pairs meet that cannot be installed together.",
    ),
    FLEET: ("One export for all readers", "The same files, written once by this jax, checked in every TensorFlow."),
    ARCHIVE: (
        "Archived exports, read again",
        "A small model, exported once by this jax and kept since; every TensorFlow must go on reading it.",
    ),
}


def write(atlas: Atlas, previous: Atlas | None, folder: Path, runs: Sequence[Run] = ()) -> Path:
    """Write the page of `atlas`, and what changed since `previous`, to `folder`/index.html.

    A cell is linked to its own page where `folder`/<cell>/index.html exists, so write those first. `runs` are the
    records behind the atlas, if they are available: the page then has a table of all their checks.

    Raises:
        UsageError: a library of the report is not installed, or `folder` is a file.
        StorageError: the file cannot be written.
    """
    from parity.report.panels import trust

    path = output_folder(folder) / PAGE
    views = {id(row): _view(row, folder) for row in atlas.cells}
    total = atlases.cost(atlas)
    page = render(
        "atlas.html.j2",
        atlas=atlas,
        verdict=atlas_text.verdict(atlas),
        state=_state(atlas),
        advice=advice.for_newest_pair(atlas),
        changes=_changes(previous, atlas, views) if previous else None,
        previous=previous,
        open_changes=OPEN_CHANGES,
        grown=measures.GROWN,
        doctor=_doctor(list(views.values())),
        grids=[_grid(atlases.grid(atlas, mode), views) for mode in atlases.PAIRED],
        costs=footprints.view(atlas),
        cells=views.values(),
        checks=checks_view(runs, {view["row"]["cell"]: view["page"] for view in views.values()}),
        data=DATA if (folder / DATA).is_file() else None,
        cost=total,
        total=sum(total.values()),
        view=trust.published_view(),
        handover=handover.published_view(),
        whole=HANDOVER_PAGE if (folder / HANDOVER_PAGE).is_file() else None,
        timed=sum(bool(row["seconds"]) for row in atlas.cells),
    )
    write_atomically(path, page)
    return path


def _state(atlas: Atlas) -> tuple[str, str]:
    """Return the sign and style of the verdict."""
    kinds = {atlases.kind(row) for row in atlas.cells}
    if kinds - {AGREES, WITH_REMEDY, NOT_INSTALLABLE, NOT_RUN}:
        return "✗", ""
    return ("?", "") if NOT_RUN in kinds or not kinds else ("✓", "ok")


def _view(row: Row, folder: Path) -> dict[str, Any]:
    page = None
    if (folder / row["cell"] / PAGE).is_file():
        page = f"{quote(row['cell'], errors='surrogateescape')}/{PAGE}"
    versions = {"Python": row["python"], **row["versions"]}
    return {
        "row": row,
        "kind": atlases.kind(row),
        "sign": atlas_text.sign(row),
        "outcome": atlas_text.outcome(row),
        "anchor": re.sub(r"[^\w.-]+", "_", f"{row['mode']}-{row['cell']}"),
        "order": {name: _padded(row[name]) for name in ("jax", "tensorflow")},
        "page": page,
        "prediction_held": atlases.prediction_held(row),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "seconds": sorted(row["seconds"].items(), key=lambda spent: -spent[1]),
    }


def _padded(release: str | None) -> str:
    """Return a text that sorts as the release does."""
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
    counted = [cell for cell in cells if cell["prediction_held"] is not None]
    return {
        "counted": len(counted),
        "right": sum(cell["prediction_held"] for cell in counted),
        "wrong": [cell for cell in counted if not cell["prediction_held"]],
        "uncounted": len(cells) - len(counted),
    }


def _changes(previous: Atlas, atlas: Atlas, views: dict[int, Any]) -> list[tuple[Change, str | None]]:
    """Return each change with the anchor of its cell; None for a cell that is gone."""
    anchors = {(row["mode"], row["cell"]): views[id(row)]["anchor"] for row in atlas.cells}
    return [(change, anchors.get((change.mode, change.cell))) for change in atlases.changes(previous, atlas)]


def checks_view(runs: Sequence[Run], pages: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return the rows of all checks as JSON, and of each run the worst, for readers without a script.

    Args:
        runs: one per cell.
        pages: by cell, the address of its page; None where it has none.
    """
    checks = [(run.cell, check) for run in runs for check in run.all_checks()]
    if not checks:
        return None

    def texts(values: Sequence[str]) -> list[tables.Value]:
        keys = {value: tables.natural(value) for value in set(values)}
        return [(keys[value], value) for value in values]

    def numbers(values: Sequence[float | None]) -> list[tables.Value]:
        return [(rank(value), number(value)) for value in values]

    labels = [_labels(check) for _, check in checks]
    columns = [
        texts([cell for cell, _ in checks]),
        [((c.status in IN_ORDER, c.status), f"{facts.sign(c.status)} {c.status}") for _, c in checks],
        *(texts(column) for column in zip(*labels, strict=True)),
        numbers([check.score for _, check in checks]),
        numbers([check.jax_score for _, check in checks]),
    ]
    names = [tables.permalink(check.item, check.leaf) for _, check in checks]
    worst = [_shown(run, min(found, key=facts.severity), pages) for run in runs if (found := run.all_checks())]
    return {"data": tables.data(columns, names, pages), "worst": worst, "total": len(checks), "cells": len(worst)}


def _labels(check: Check) -> tuple[str, ...]:
    return check.case, check.probe, check.runtime, facts.size_words(check.batch_size), check.leaf


def _shown(run: Run, check: Check, pages: Mapping[str, str | None]) -> dict[str, Any]:
    page = pages.get(run.cell)
    name = tables.permalink(check.item, check.leaf)
    href = f"{page}#{tables.fragment(name)}" if page else None
    return {"cell": run.cell, "check": check, "labels": _labels(check), "href": href}
