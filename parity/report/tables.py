"""Tables that can be sorted, searched and filtered: DataTables, as itables ships it, and rows as JSON."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from parity.core.storage import ESCAPED

_BUNDLE = Path("html") / "dt_bundle.js"
_EXPORT = re.compile(r"\bexport\s*\{([^}]*)\}")
_OPENING = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
"""What would change how a browser reads on inside a script element."""
Value = tuple[Any, str]
"""A key to sort by, and the text."""


@cache
def script() -> Markup:
    """Return a module script that makes every `table.live` of its page interactive, without any request."""
    spec = importlib.util.find_spec("itables")
    assert spec is not None
    assert spec.submodule_search_locations
    # The file is read without importing itables, which imports pandas where it is installed.
    bundle = (Path(spec.submodule_search_locations[0]) / _BUNDLE).read_text(encoding="utf-8")
    names = dict(re.findall(r"([\w$]+) as (\w+)", _EXPORT.findall(bundle)[-1]))
    library = next(inner for inner, outer in names.items() if outer == "default")
    glue = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    code = f"{bundle}\n{{ const DataTable = {library};\n{glue}}}\n"
    # The same characters, in the strings and patterns in which they occur.
    return Markup('<script type="module">\n{}</script>').format(Markup(_OPENING.sub(r"\\x3c", code)))


def data(columns: Sequence[Sequence[Value]], names: Sequence[str], pages: Mapping[str, str | None]) -> Markup:
    """Return the rows of a live table as JSON that is safe inside a script element.

    It belongs in `<script type="application/json" id="X-data">` for the table with the id X, whose header has a cell
    for every column. A row is a list of codes: its text in column i is `texts[i][row[i]]`, in the order of the keys;
    the last code is that of its name.

    Args:
        columns: for each column a value for every row; the texts of the first one are the groups of rows.
        names: for every row the name that is its id on the page of its group.
        pages: by group, the address of that page; None where there is none.
    """
    texts = [_ordered(column) for column in columns]
    known = list(dict.fromkeys(names))
    codes = [_codes((text for _, text in column), ordered) for column, ordered in zip(columns, texts, strict=True)]
    found = {
        "texts": texts,
        "rows": list(zip(*codes, _codes(names, known), strict=True)),
        "names": known,
        "groups": [{"id": permalink(group), "page": pages.get(group)} for group in texts[0]],
    }
    text = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _ordered(column: Iterable[Value]) -> list[str]:
    keys = {text: key for key, text in column}
    return sorted(keys, key=keys.__getitem__)


def _codes(values: Iterable[str], ordered: Sequence[str]) -> list[int]:
    places = {value: nth for nth, value in enumerate(ordered)}
    return [places[value] for value in values]


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts texts as people do: the numbers in them by their size."""
    parts = (part.lstrip("0") if part.isdecimal() else part for part in re.split(r"(\d+)", text))
    return [(len(part) if nth % 2 else -1, part) for nth, part in enumerate(parts)]


def permalink(*parts: str) -> str:
    """Return the id of a row, such as that of a check by its item and leaf: unique, and without white space.

    A character that is not valid text, such as half a surrogate pair, is escaped as everywhere in the page.
    """
    return re.sub(r"\s+", "_", "/".join(parts)).encode("utf-8", ESCAPED).decode()


def fragment(name: str) -> str:
    """Return what follows the # in a link to the row with the id `name`."""
    return quote(name, safe="/[]=,:@")
