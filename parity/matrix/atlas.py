"""The atlas: one row per cell of the matrix, made by `parity.records.cells.row`, joined, counted and compared.

`atlas.json` is `{"schema": 1, "made_at": …, "cells": [row, …]}`, one row a line, so that it diffs well.
"""

from __future__ import annotations

import html
import json
import math
import operator
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from parity import records
from parity.core import failures
from parity.core.errors import RecordError, UsageError
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
from parity.records.cells import EXPORT, VERIFY, Cell

SCHEMA = 1
NO_PYTHON = "no Python"
"""How the evidence begins where the interpreter of a cell was not there: `no Python 3.13 here; detail`."""
MARKERS = ("<!-- atlas -->", "<!-- /atlas -->")
WIDTH = 120

Row = dict[str, Any]
_EMPTY: Row = {
    "cell": "", "jax": None, "tensorflow": None, "python": None, "mode": JOINT, "status": MISSING, "class": None,
    "evidence": None, "remedy": None, "worst_score": None, "bit_exact": None, "predicted": None,
    "predicted_class": None, "checks": 0, "known": [], "footprints": {}, "latency": None, "seconds": {},
    "versions": {}, "ended_at": None,
}  # fmt: skip

AGREES, MENDED, APART, BROKEN = "agrees", "mended", "apart", "broken"
UNFINISHED, STALE, UNSEEN = "unfinished", "stale", "unseen"
_KINDS = {PASS: AGREES, REMEDIED: MENDED, FAIL: BROKEN, ERROR: BROKEN, CRASH: BROKEN,
          TIMEOUT: UNFINISHED, FIXED: STALE, MISSING: UNSEEN}  # fmt: skip
DASH = "\N{EN DASH}"
SIGNS = {AGREES: "✓", MENDED: "⚒", APART: "✗", BROKEN: "✗", UNFINISHED: "◷", STALE: "!", UNSEEN: "?"}
# What a count of each kind says, of one and of more.
_SAYS = {
    AGREES: ("agrees", "agree"),
    MENDED: ("agrees with a remedy", "agree with a remedy"),
    APART: ("cannot be installed together", "cannot be installed together"),
    BROKEN: ("is broken", "are broken"),
    UNFINISHED: ("did not finish", "did not finish"),
    STALE: ("passes although listed as a known issue", "pass although listed as known issues"),
    UNSEEN: ("was not run", "were not run"),
}
_WORDS = {
    AGREES: "agrees", MENDED: "with remedy", APART: "cannot be installed together", STALE: "passes, though listed",
    UNSEEN: "not run",
}  # fmt: skip
PAIRED = (JOINT, SPLIT, FLEET, records.ARCHIVE)
"""The modes whose cells are about a pair; an export is about a jax alone, and its failure is its readers'."""
NOUNS = {
    JOINT: ("pair in one environment", "pairs in one environment"),
    SPLIT: ("pair in separate environments", "pairs in separate environments"),
    FLEET: ("reader of the one export", "readers of the one export"),
    records.ARCHIVE: ("reading of an archived bundle", "readings of archived bundles"),
}


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
    """What is different in a cell: `what` is new, gone, outcome, remedy, bit-exact, worst score, memory or artifact.

    Memory is that of a runtime, such as `memory of tf_graph`.
    """

    mode: str
    cell: str
    what: str
    before: str
    after: str


def join(rows: Iterable[Row], planned: Mapping[str, str] | None = None, archived: Iterable[str] = ()) -> Atlas:
    """The atlas of `rows`, and of the cells that were planned and have none.

    Of several rows of one cell the one that ended last counts. A verifying cell stands for one row per export, one for
    the export to the whole fleet, which is that of the newest jax, and one per archived bundle.

    Args:
        rows: as `parity.records.cells.row` makes them.
        planned: by cell name, why there is no row; empty where nobody knows, ignored where there is one.
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
        for row in _unseen(cell, written, (planned or {})[cell.name]):
            found.setdefault((row["mode"], row["cell"]), row)
    return Atlas(records.now(), tuple(sorted(found.values(), key=_order)))


def _unseen(cell: Cell, written: Mapping[str, list[str]], why: str) -> Iterator[Row]:
    """The rows that `cell` was planned to leave; `written` are, by mode, the jax releases whose bundles it reads."""
    seen = {"tensorflow": cell.tensorflow, "python": cell.python, "evidence": why or None}
    if cell.role != VERIFY:
        yield {**_EMPTY, **seen, "cell": cell.name, "jax": cell.jax, "mode": cell.role or JOINT}
        return
    for mode, releases in written.items():
        for jax in releases:
            yield {**_EMPTY, **seen, "cell": f"{mode}-jax{jax}-tf{cell.tensorflow}", "jax": jax, "mode": mode}
    if not any(written.values()):
        yield {**_EMPTY, **seen, "cell": cell.name, "mode": SPLIT}


def write(path: Path, atlas: Atlas) -> None:
    """Write `atlas` to `path` as JSON, a cell a line.

    Raises:
        StorageError: the file cannot be written.
    """
    lines = ",\n".join(json.dumps(records.encode(row), allow_nan=False, ensure_ascii=False) for row in atlas.cells)
    head = f'{{"schema": {SCHEMA}, "made_at": {json.dumps(atlas.made_at)}, "cells": ['
    write_atomically(path, f"{head}\n{lines}\n]}}\n")


def read(path: Path) -> Atlas:
    """The atlas in `path`.

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
        cells = [{**_EMPTY, **row, "worst_score": _number(row["worst_score"])} for row in data["cells"]]
        for row in cells:
            measures.sizes(row["footprints"])  # raises where one is none
        if strange := {row["status"] for row in cells} - set(_KINDS):
            raise ValueError(f"unknown status {strange}")
        return Atlas(data["made_at"], tuple(sorted(cells, key=_order)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path} is no atlas: {error!r}. Write it again with parity atlas.") from error


def kind(row: Row) -> str:
    """Which of the kinds that the verdict counts the cell is of."""
    if row["class"] == failures.RESOLVER:
        return APART
    return UNFINISHED if row["status"] == MISSING and row["checks"] else _KINDS[row["status"]]


def sign(row: Row) -> str:
    """The sign of the cell's kind."""
    return DASH if _no_python(row) else SIGNS[kind(row)]


def words(row: Row) -> str:
    """What became of the cell, in two or three words."""
    of = kind(row)
    if of == BROKEN:
        return CRASH if row["status"] == CRASH else str(row["class"] or row["status"])
    if of == UNFINISHED:
        return TIMEOUT if row["status"] == TIMEOUT else "not finished"
    if row["mode"] != JOINT and of in (AGREES, APART):
        return "exported" if row["mode"] == EXPORT and of == AGREES else _apart(_WORDS[of], row["mode"])
    if _no_python(row):
        return str(row["evidence"]).partition(";")[0]
    return _WORDS[of]


def in_order(atlas: Atlas) -> bool:
    """Whether every cell agrees, with a remedy or without, cannot be installed, or has no Python here; not none."""
    agree = [row for row in atlas.cells if kind(row) in (AGREES, MENDED)]
    return bool(agree) and all(row in agree or kind(row) == APART or _no_python(row) for row in atlas.cells)


def verdict(atlas: Atlas) -> str:
    """How many cells are of each kind, mode by mode, in one sentence."""
    clauses = []
    for mode in PAIRED:
        counts = Counter(kind(row) for row in atlas.cells if row["mode"] == mode)
        total = sum(counts.values())
        said = [f"{counts[of]} {_apart(_SAYS[of][counts[of] > 1], mode)}" for of in SIGNS if counts[of]]
        if len(said) == 1:
            [of] = counts
            clauses.append(
                f"{'all ' * (total > 1)}{total} {NOUNS[mode][total > 1]} {_apart(_SAYS[of][total > 1], mode)}"
            )
        elif said:
            clauses.append(f"of {total} {NOUNS[mode][1]}, {', '.join(said[:-1])} and {said[-1]}")
    sentence = "; ".join(clauses) or "no cell was planned"
    return f"{sentence[0].upper()}{sentence[1:]}."


def foreseen(row: Row) -> bool | None:
    """Whether the prediction was right, in status and class; None without a prediction or an outcome."""
    if row["predicted"] is None or row["status"] == MISSING:
        return None
    same = row["predicted_class"] == row["class"] or row["status"] == PASS
    return bool(row["predicted"] == row["status"] and same)


def grid(atlas: Atlas, mode: str) -> Grid:
    """The cells of `mode` by jax and tensorflow; the columns are those of every mode, so that grids line up."""
    mine = [row for row in atlas.cells if row["mode"] == mode]
    inside = [row for row in mine if row["jax"] and row["tensorflow"]]
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
    outside = [row for row in mine if not (row["jax"] and row["tensorflow"])]
    return Grid(mode, tuple(columns), tuple(lines), tuple(outside))


def cost(atlas: Atlas) -> dict[str, float]:
    """Seconds per purpose over all cells, the largest first."""
    total: Counter[str] = Counter()
    for row in atlas.cells:
        total.update(row["seconds"])
    return dict(total.most_common())


def changes(previous: Atlas, current: Atlas) -> list[Change]:
    """Cells new, gone, or with another outcome, remedy, bit-exactness, worst score, or memory or artifact size.

    A worst score differs by more than a factor 2, memory and artifact sizes by more than 1.5.
    """
    before = {(row["mode"], row["cell"]): row for row in previous.cells}
    after = {(row["mode"], row["cell"]): row for row in current.cells}
    found = [Change(*key, "gone", _outcome(row), "") for key, row in before.items() if key not in after]
    for key, row in after.items():
        told = _differences(before[key], row) if key in before else [("new", "", _outcome(row))]
        found += [Change(*key, *difference) for difference in told]
    return found


def score(value: float | None) -> str:
    """Three digits, or a word where there is none."""
    return "none" if value is None else f"{value:.3g}"


def markdown(atlas: Atlas) -> str:
    """The verdict, a table per mode, and a legend, in Markdown that is readable as plain text too."""
    parts, seen = [textwrap.fill(_plain(verdict(atlas)), WIDTH)], set()
    for mode in PAIRED:
        laid = grid(atlas, mode)
        if laid.lines:
            cells = [[_plain(jax), *map(_brief, line)] for jax, line in laid.lines]
            title = f"{NOUNS[mode][1].capitalize()}: jax down, tensorflow across."
            parts += [title, _table(["jax", *map(_plain, laid.columns)], cells)]
        seen |= {kind(row) for row in atlas.cells if row["mode"] == mode}
    absent = any(map(_no_python, atlas.cells))
    says = {**{of: one for of, (one, _) in _SAYS.items()}, BROKEN: "broken, with the last word of its class"}
    legend = [f"{SIGNS[of]} {says[of]}" for of in SIGNS if of in seen]
    legend += [f"{DASH} no such Python where this ran"] * absent + ["the number is the worst score"]
    legend += ["= predictions are bit-exact"] * any(row["bit_exact"] for row in atlas.cells)
    return "\n\n".join([*parts, textwrap.fill(f"{'; '.join(legend)}.", WIDTH)])


def update_readme(path: Path, atlas: Atlas) -> None:
    """Replace what stands between the markers in `path` by the Markdown of `atlas`; the rest stays to the byte.

    Raises:
        UsageError: the file cannot be read, or does not have both markers once, in order.
        StorageError: it cannot be written.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}. Expected a text file with the markers of the atlas.") from error
    head, began, rest = text.partition(MARKERS[0])
    _, ended, tail = rest.partition(MARKERS[1])
    if not ended or any(text.count(marker) != 1 for marker in MARKERS):
        raise UsageError(
            f"{path} has no place for the atlas. Expected one line {MARKERS[0]} and, after it, one line {MARKERS[1]}; "
            "what stands between them is replaced."
        )
    write_atomically(path, f"{head}{began}\n{markdown(atlas)}\n{ended}{tail}")


def _brief(rows: tuple[Row, ...]) -> str:
    """The cells of a pair in a few characters: sign, then the worst score or the last word of the class."""
    said: dict[str, float | None] = {}
    for row in rows:
        of = kind(row)
        word = {APART: "no install", BROKEN: words(row).rpartition("_")[2]}.get(of, "")
        text = f"{sign(row)} {word}".strip()
        scored = row["worst_score"] if of in (AGREES, MENDED, STALE) else None
        said[text] = max((s for s in (said.get(text), scored) if s is not None), default=None)
    exact = " =" if rows and all(row["bit_exact"] for row in rows) else ""
    return _plain(" / ".join(k if v is None else f"{k} {score(v)}" for k, v in said.items()) + exact)


def _table(header: list[str], lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    ruled = [header, ["-" * width for width in widths], *lines]
    return "\n".join(f"| {' | '.join(text.ljust(w) for text, w in zip(r, widths, strict=True))} |" for r in ruled)


def _plain(text: str) -> str:
    """`text` as one line of Markdown that is only text."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _differences(was: Row, row: Row) -> Iterator[tuple[str, str, str]]:
    """What differs, before and after; what another outcome cannot have is not told beside it."""
    became = _outcome(was) != _outcome(row)
    if became:
        yield "outcome", _outcome(was), _outcome(row)
    if was["remedy"] != row["remedy"]:
        yield "remedy", was["remedy"] or "none", row["remedy"] or "none"
    pairs = (("bit-exact", "bit_exact", operator.ne, _yes), ("worst score", "worst_score", _moved, score))
    for what, name, differ, say in pairs:
        if differ(was[name], row[name]) and not (became and None in (was[name], row[name])):
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


def _apart(said: str, mode: str) -> str:
    """What is installed in separate environments is not installed together."""
    return said if mode == JOINT else said.removesuffix(" together")


def _no_python(row: Row) -> bool:
    return row["status"] == MISSING and (row["evidence"] or "").startswith(NO_PYTHON)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _order(row: Row) -> tuple[Any, ...]:
    return MODES.index(row["mode"]), *(_release(row[name]) for name in ("jax", "tensorflow", "python")), row["cell"]


def _release(text: str | None) -> tuple[bool, Version, str]:
    """Sorts by release; what is no version comes first."""
    try:
        return True, Version(text or ""), text or ""
    except InvalidVersion:
        return False, Version("0"), text or ""
