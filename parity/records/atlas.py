"""The atlas: one row per cell of the matrix, made by `parity.records.cells.row`, joined, counted and compared.

`atlas.json` is `{"schema": 1, "made_at": …, "cells": [row, …]}`, one row a line, so that it diffs well.
"""

from __future__ import annotations

import json
import math
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from parity import records
from parity.core import failures
from parity.core.errors import RecordError
from parity.core.storage import write_atomically
from parity.records import (
    CRASH,
    ERROR,
    FAIL,
    FIXED,
    FLEET,
    JOINT,
    MISSING,
    MODES,
    PASS,
    REMEDIED,
    SPLIT,
    TIMEOUT,
    measures,
)
from parity.records.cells import EXPORT, VERIFY, Cell, is_version
from parity.records.numbers import rows_text

SCHEMA = 1
NO_PYTHON = "no Python"
"""How the evidence begins where the interpreter of a cell was not there: `no Python 3.13 here; detail`."""

Row = dict[str, Any]
_EMPTY: Row = {
    "cell": "", "jax": None, "tensorflow": None, "python": None, "mode": JOINT, "status": MISSING, "class": None,
    "evidence": None, "remedy": None, "worst_score": None, "bit_exact": None, "predicted": None,
    "predicted_class": None, "checks": 0, "known": [], "footprints": {}, "latency": None, "seconds": {},
    "versions": {}, "ended_at": None,
}  # fmt: skip

AGREES, WITH_REMEDY, NOT_INSTALLABLE, BROKEN = "agrees", "with-remedy", "not-installable", "broken"
UNFINISHED, STALE, NOT_RUN = "unfinished", "stale", "not-run"
_KINDS = {PASS: AGREES, REMEDIED: WITH_REMEDY, FAIL: BROKEN, ERROR: BROKEN, CRASH: BROKEN,
          TIMEOUT: UNFINISHED, FIXED: STALE, MISSING: NOT_RUN}  # fmt: skip
PAIRED = (JOINT, SPLIT, FLEET, records.ARCHIVE)
"""The modes whose cells are about a pair; an export is about a jax alone, and its failure is its readers'."""


@dataclass(frozen=True)
class Atlas:
    """Rows in the order of mode, jax, tensorflow, Python and name; `made_at` is ISO 8601 in UTC."""

    made_at: str
    cells: tuple[Row, ...]


@dataclass(frozen=True)
class Grid:
    """The cells of one mode: `lines` are a jax release and, for each column, the cells of that pair.

    `outside` are the cells that name no pair, such as one whose versions were never seen.
    """

    mode: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[tuple[Row, ...], ...]], ...]
    outside: tuple[Row, ...]


@dataclass(frozen=True)
class Change:
    """One difference of a cell: `what` is new, gone, outcome, remedy, bit-exact, worst score, memory or artifact.

    Memory is that of a runtime, such as `memory of tf_graph`.
    """

    mode: str
    cell: str
    what: str
    before: str
    after: str


def join(rows: Iterable[Row], planned: Mapping[str, str] | None = None, archived: Iterable[str] = ()) -> Atlas:
    """Return the atlas of `rows`, and of the planned cells without a row.

    Of several rows of one cell the one that ended last counts. A verifying cell gives one row per export, one for the
    export to the whole fleet (by the newest jax), and one per archived bundle.

    Args:
        rows: as `parity.records.cells.row` makes them.
        planned: by cell name, why there is no row: empty where unknown, ignored where there is one.
        archived: the jax releases whose exports are archived.

    Raises:
        UsageError: a planned name describes no cell.
    """
    found: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row["ended_at"] or ""):
        found[row["mode"], row["cell"]] = {**_EMPTY, **row}
    cells = [Cell.parse(name) for name in planned or {}]
    exports = {row["jax"] for row in found.values() if row["mode"] == EXPORT and row["jax"]}
    exports |= {cell.jax for cell in cells if cell.role == EXPORT}
    written = {SPLIT: sorted(exports, key=_release), records.ARCHIVE: list(archived)}
    written[FLEET] = written[SPLIT][-1:]
    for cell in cells:
        for row in _not_run(cell, written, (planned or {})[cell.name]):
            found.setdefault((row["mode"], row["cell"]), row)
    return Atlas(records.now(), tuple(sorted(found.values(), key=_order)))


def _not_run(cell: Cell, written: Mapping[str, list[str]], why: str) -> Iterator[Row]:
    """Yield the rows planned for `cell`; `written` holds, by mode, the jax releases whose bundles it reads."""
    known = {"tensorflow": cell.tensorflow, "python": cell.python, "evidence": why or None}
    if cell.role != VERIFY:
        yield {**_EMPTY, **known, "cell": cell.name, "jax": cell.jax, "mode": cell.role or JOINT}
        return
    for mode, releases in written.items():
        for jax in releases:
            yield {**_EMPTY, **known, "cell": f"{mode}-jax{jax}-tf{cell.tensorflow}", "jax": jax, "mode": mode}
    if not any(written.values()):
        yield {**_EMPTY, **known, "cell": cell.name, "mode": SPLIT}


def write(path: Path, atlas: Atlas) -> None:
    """Write `atlas` to `path` as JSON, a cell a line.

    Raises:
        StorageError: the file cannot be written.
    """
    data = {"schema": SCHEMA, "made_at": atlas.made_at, "cells": records.encode(atlas.cells)}
    write_atomically(path, rows_text(data, ensure_ascii=False))


def read(path: Path) -> Atlas:
    """Return the atlas in `path`.

    Raises:
        RecordError: it cannot be read, is no atlas, or has a newer schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot read the atlas {path}: {error}. Write it again with parity atlas.") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(schema, int):
        raise RecordError(f"{path} is no atlas: it has no integer 'schema'. Write it again with parity atlas.")
    if schema > SCHEMA:
        raise RecordError(f"{path} has schema {schema}; this parity reads up to {SCHEMA}. Upgrade parity to read it.")
    try:
        cells = [{**_EMPTY, **row, "worst_score": records.number(row["worst_score"])} for row in data["cells"]]
        for row in cells:
            measures.sizes(row["footprints"])  # raises where one is none
        if strange := {row["status"] for row in cells} - set(_KINDS):
            raise ValueError(f"unknown status {strange}")
        return Atlas(data["made_at"], tuple(sorted(cells, key=_order)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path} is no atlas: {error!r}. Write it again with parity atlas.") from error


def kind(row: Row) -> str:
    """Return the kind of a cell: one of the seven constants above, such as `AGREES`."""
    if row["class"] == failures.RESOLVER:
        return NOT_INSTALLABLE
    return UNFINISHED if row["status"] == MISSING and row["checks"] else _KINDS[row["status"]]


def in_order(atlas: Atlas) -> bool:
    """Return whether some cell agrees, and every other one agrees, cannot be installed or has no Python here."""
    agree = [row for row in atlas.cells if kind(row) in (AGREES, WITH_REMEDY)]
    return bool(agree) and all(row in agree or kind(row) == NOT_INSTALLABLE or no_python(row) for row in atlas.cells)


def prediction_held(row: Row) -> bool | None:
    """Return whether the prediction was right, in status and class; None without a prediction or an outcome."""
    if row["predicted"] is None or row["status"] == MISSING:
        return None
    same = row["predicted_class"] == row["class"] or row["status"] == PASS
    return bool(row["predicted"] == row["status"] and same)


def grid(atlas: Atlas, mode: str) -> Grid:
    """Return the cells of `mode` by jax and tensorflow; the columns are those of all modes, so that grids line up."""
    rows = [row for row in atlas.cells if row["mode"] == mode]
    inside = [row for row in rows if row["jax"] and row["tensorflow"]]
    columns = sorted(
        {row["tensorflow"] for row in atlas.cells if row["tensorflow"] and row["mode"] in PAIRED}, key=_release
    )
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in inside:
        pairs.setdefault((row["jax"], row["tensorflow"]), []).append(row)
    lines = [
        (jax, tuple(tuple(pairs.get((jax, tensorflow), ())) for tensorflow in columns))
        for jax in sorted({row["jax"] for row in inside}, key=_release)
    ]
    outside = [row for row in rows if not (row["jax"] and row["tensorflow"])]
    return Grid(mode, tuple(columns), tuple(lines), tuple(outside))


def cost(atlas: Atlas) -> dict[str, float]:
    """Return the seconds per purpose over all cells, the largest first."""
    total: Counter[str] = Counter()
    for row in atlas.cells:
        total.update(row["seconds"])
    return dict(total.most_common())


def changes(previous: Atlas, current: Atlas) -> list[Change]:
    """Return the cells that are new, gone, or have another outcome, remedy, score, memory or artifact size.

    A worst score differs by more than a factor 2, memory and artifact sizes by more than 1.5.
    """
    before = {(row["mode"], row["cell"]): row for row in previous.cells}
    after = {(row["mode"], row["cell"]): row for row in current.cells}
    found = [Change(*key, "gone", _outcome(row), "") for key, row in before.items() if key not in after]
    for key, row in after.items():
        differences = _differences(before[key], row) if key in before else [("new", "", _outcome(row))]
        found += [Change(*key, *difference) for difference in differences]
    return found


def score(value: float | None) -> str:
    """Return a score with three digits, or `none`."""
    return "none" if value is None else f"{value:.3g}"


def _differences(was: Row, row: Row) -> Iterator[tuple[str, str, str]]:
    """Yield what differs, before and after, without a value that an outcome cannot have."""
    changed = _outcome(was) != _outcome(row)
    if changed:
        yield "outcome", _outcome(was), _outcome(row)
    if was["remedy"] != row["remedy"]:
        yield "remedy", was["remedy"] or "none", row["remedy"] or "none"
    pairs = (("bit-exact", "bit_exact", operator.ne, _yes), ("worst score", "worst_score", _moved, score))
    for what, name, differ, say in pairs:
        if differ(was[name], row[name]) and not (changed and None in (was[name], row[name])):
            yield what, say(was[name]), say(row[name])
    yield from measures.moved(was["footprints"], row["footprints"])


def _moved(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    if math.isnan(before) or math.isnan(after):
        return math.isnan(before) is not math.isnan(after)
    return max(before, after) > 2 * min(before, after)


def _outcome(row: Row) -> str:
    return f"{row['status']} ({row['class']})" if row["class"] else str(row["status"])


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]


def no_python(row: Row) -> bool:
    """Return whether the cell was not run because its Python was not installed."""
    return row["status"] == MISSING and (row["evidence"] or "").startswith(NO_PYTHON)


def _order(row: Row) -> tuple[Any, ...]:
    return MODES.index(row["mode"]), *(_release(row[name]) for name in ("jax", "tensorflow", "python")), row["cell"]


def _release(text: str | None) -> tuple[bool, Version, str]:
    """Return a sort key: by release, and what is no version first."""
    known = is_version(text or "")
    return known, Version((known and text) or "0"), text or ""
