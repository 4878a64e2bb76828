"""The atlas in words: what became of a cell, the verdict on all, and the grids as Markdown for a README."""

from __future__ import annotations

import html
import textwrap
from collections import Counter
from pathlib import Path

from parity.core.storage import replace_between
from parity.records import ARCHIVE, CRASH, EXPORT, FLEET, JOINT, SPLIT, TIMEOUT
from parity.records import atlas as atlases
from parity.records.atlas import (
    AGREES,
    BROKEN,
    NOT_INSTALLABLE,
    NOT_RUN,
    PAIRED,
    STALE,
    UNFINISHED,
    WITH_REMEDY,
    Atlas,
    Row,
)

MARKERS = ("<!-- atlas -->", "<!-- /atlas -->")
WIDTH = 120
DASH = "\N{EN DASH}"
SIGNS = {AGREES: "✓", WITH_REMEDY: "⚒", NOT_INSTALLABLE: "✗", BROKEN: "✗", UNFINISHED: "◷", STALE: "!", NOT_RUN: "?"}
_CLAUSES = {
    AGREES: ("agrees", "agree"),
    WITH_REMEDY: ("agrees with a remedy", "agree with a remedy"),
    NOT_INSTALLABLE: ("cannot be installed together", "cannot be installed together"),
    BROKEN: ("is broken", "are broken"),
    UNFINISHED: ("did not finish", "did not finish"),
    STALE: ("passes although listed as a known issue", "pass although listed as known issues"),
    NOT_RUN: ("was not run", "were not run"),
}
"""After a count of one, and of several."""
_OUTCOMES = {
    AGREES: "agrees", WITH_REMEDY: "with remedy", NOT_INSTALLABLE: "cannot be installed together",
    STALE: "passes, though listed", NOT_RUN: "not run",
}  # fmt: skip
_NOUNS = {
    JOINT: ("pair in one environment", "pairs in one environment"),
    SPLIT: ("pair in separate environments", "pairs in separate environments"),
    FLEET: ("reader of the one export", "readers of the one export"),
    ARCHIVE: ("reading of an archived bundle", "readings of archived bundles"),
}


def sign(row: Row) -> str:
    """Return the sign of the cell's kind; a dash where its Python was not installed."""
    return DASH if atlases.no_python(row) else SIGNS[atlases.kind(row)]


def outcome(row: Row) -> str:
    """Return the outcome of a cell in two or three words."""
    kind = atlases.kind(row)
    if kind == BROKEN:
        return CRASH if row["status"] == CRASH else str(row["class"] or row["status"])
    if kind == UNFINISHED:
        return TIMEOUT if row["status"] == TIMEOUT else "not finished"
    if atlases.no_python(row):
        return str(row["evidence"]).partition(";")[0]
    if kind == AGREES and row["mode"] == EXPORT:
        return "exported"
    return _by_mode(_OUTCOMES[kind], row["mode"])


def verdict(atlas: Atlas) -> str:
    """Return how many cells are of each kind, mode by mode, in one sentence."""
    clauses = []
    for mode in PAIRED:
        counts = Counter(atlases.kind(row) for row in atlas.cells if row["mode"] == mode)
        total = sum(counts.values())
        parts = [f"{n} {_by_mode(_CLAUSES[kind][n > 1], mode)}" for kind in SIGNS if (n := counts[kind])]
        if len(parts) == 1:
            noun = f"{_NOUNS[mode][total > 1]} {parts[0].partition(' ')[2]}"
            clauses.append(f"all {total} {noun}" if total > 1 else f"{total} {noun}")
        elif parts:
            clauses.append(f"of {total} {_NOUNS[mode][1]}, {', '.join(parts[:-1])} and {parts[-1]}")
    sentence = "; ".join(clauses) or "no cell was planned"
    return f"{sentence[0].upper()}{sentence[1:]}."


def markdown(atlas: Atlas) -> str:
    """Return the verdict, a table per mode, and a legend, in Markdown that is readable as plain text too."""
    parts, seen = [textwrap.fill(_escaped(verdict(atlas)), WIDTH)], set()
    for mode in PAIRED:
        grid = atlases.grid(atlas, mode)
        if grid.lines:
            cells = [[_escaped(jax), *map(_brief, line)] for jax, line in grid.lines]
            title = f"{_NOUNS[mode][1].capitalize()}: jax down, tensorflow across."
            parts += [title, _table(["jax", *map(_escaped, grid.columns)], cells)]
        seen |= {atlases.kind(row) for row in atlas.cells if row["mode"] == mode}
    meanings = {**{kind: one for kind, (one, _) in _CLAUSES.items()}, BROKEN: "broken, with the last word of its class"}
    legend = [f"{SIGNS[kind]} {meanings[kind]}" for kind in SIGNS if kind in seen]
    legend += [f"{DASH} no such Python where this ran"] * any(map(atlases.no_python, atlas.cells))
    legend += ["the number is the worst score"]
    legend += ["= predictions are bit-exact"] * any(row["bit_exact"] for row in atlas.cells)
    return "\n\n".join([*parts, textwrap.fill(f"{'; '.join(legend)}.", WIDTH)])


def update_readme(path: Path, atlas: Atlas) -> None:
    """Replace the text between the markers in `path` by the Markdown of `atlas`; the rest keeps every byte.

    Raises:
        UsageError: the file cannot be read, or does not have both markers once, in order.
        StorageError: it cannot be written.
    """
    replace_between(path, MARKERS, markdown(atlas))


def _brief(rows: tuple[Row, ...]) -> str:
    """Return the cells of a pair in a few characters: sign, then the worst score or the last word of the class."""
    found: dict[str, float | None] = {}
    for row in rows:
        kind = atlases.kind(row)
        word = {NOT_INSTALLABLE: "no install", BROKEN: outcome(row).rpartition("_")[2]}.get(kind, "")
        text = f"{sign(row)} {word}".strip()
        score = row["worst_score"] if kind in (AGREES, WITH_REMEDY, STALE) else None
        found[text] = max((s for s in (found.get(text), score) if s is not None), default=None)
    exact = " =" if rows and all(row["bit_exact"] for row in rows) else ""
    return _escaped(" / ".join(k if v is None else f"{k} {atlases.score(v)}" for k, v in found.items()) + exact)


def _table(header: list[str], lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    ruled = [header, ["-" * width for width in widths], *lines]
    return "\n".join(f"| {' | '.join(text.ljust(w) for text, w in zip(r, widths, strict=True))} |" for r in ruled)


def _escaped(text: str) -> str:
    """Return `text` as one line of Markdown without markup."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _by_mode(text: str, mode: str) -> str:
    """Drop `together` where the two are installed in separate environments."""
    return text if mode == JOINT else text.removesuffix(" together")
