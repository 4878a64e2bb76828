"""Tables that can be sorted, searched and filtered: DataTables, as itables ships it, and what a page says to it."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from parity.core.storage import ESCAPED

_BUNDLE = Path("html") / "dt_bundle.js"
_EXPORT = re.compile(r"\bexport\s*\{([^}]*)\}")
_OPENING = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
"""What would change how a browser reads on inside a script element."""


@cache
def script() -> Markup:
    """A module script that makes every `table.live` of its page live; it asks for nothing."""
    spec = importlib.util.find_spec("itables")
    assert spec is not None
    assert spec.submodule_search_locations
    # Found, not imported: itables imports pandas where it is installed.
    bundle = (Path(spec.submodule_search_locations[0]) / _BUNDLE).read_text(encoding="utf-8")
    names = dict(re.findall(r"([\w$]+) as (\w+)", _EXPORT.findall(bundle)[-1]))
    library = next(inner for inner, outer in names.items() if outer == "default")
    glue = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    code = f"{bundle}\n{{ const DataTable = {library};\n{glue}}}\n"
    # The same characters, in the strings and patterns in which they occur.
    return Markup('<script type="module">\n{}</script>').format(Markup(_OPENING.sub(r"\\x3c", code)))


@dataclass(frozen=True)
class Group:
    """Neighbouring columns whose values come together, such as what a question is made of; every tuple is kept once.

    Attributes:
        rows: for every row of the table a tuple with one value per column: a string, a number or None.
        names: for every row the part of its name that this group gives; the parts are joined by `/`.
        pages: for every row the page on which the rest of its name is an id; None where there is none.
    """

    rows: Sequence[tuple[Any, ...]]
    names: Sequence[str] | None = None
    pages: Sequence[str | None] | None = None


def data(groups: Sequence[Group]) -> Markup:
    """The rows of a live table as JSON that is safe inside a script element.

    It belongs into `<script type="application/json" id="X-data">` for the table with the id X, whose header has a cell
    for every column of every group. Numbers keep the three digits that are shown.
    """
    text = json.dumps([_coded(group) for group in groups], ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _coded(group: Group) -> dict[str, Any]:
    """The values of a group by column, once each where they repeat; then `codes` or `steps` say which row has which."""
    absent = [None] * len(group.rows)
    entries = list(zip(group.rows, group.names or absent, group.pages or absent, strict=True))
    numbered: dict[Any, int] = {}
    codes = [numbered.setdefault(entry, len(numbered)) for entry in entries]
    repeating = 2 * len(numbered) < len(entries)
    kept = list(numbered) if repeating else entries
    found: dict[str, Any] = {
        "values": [list(map(_plain, column)) for column in zip(*(row for row, _, _ in kept), strict=True)]
    }
    if repeating:
        steps = _steps(codes)
        found |= {"steps": steps} if len(steps) < len(codes) else {"codes": codes}
    if group.names:
        found["names"] = [name for _, name, _ in kept]
    if group.pages:
        found["pages"] = [page for _, _, page in kept]
    return found


def _steps(codes: Sequence[int]) -> list[int]:
    """From each code to the next, each step followed by how often it is taken: what is in a regular order is short."""
    steps = (after - before for before, after in pairwise([0, *codes]))
    return [number for step, times in groupby(steps) for number in (step, sum(1 for _ in times))]


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.3g}") if math.isfinite(value) else str(value)


def permalink(*parts: str) -> str:
    """The id of a row, such as that of a check by its item and leaf: unique, and without white space.

    What is no text, such as half of a character, is written as it is in the page.
    """
    return re.sub(r"\s+", "_", "/".join(parts)).encode("utf-8", ESCAPED).decode()


def fragment(name: str) -> str:
    """What follows the # in a link to the row with the id `name`."""
    return quote(name, safe="/[]=,:@")
