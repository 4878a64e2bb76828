"""Run records to one self-contained HTML file: no request to anywhere, and readable without its script."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

from parity.core.errors import UsageError
from parity.core.storage import write_atomically
from parity.gate import Verdict
from parity.records import Run
from parity.report import facts, numbers, panels

NEEDED = ("jinja2", "vl_convert", "itables")


def require(needed: Sequence[str] = NEEDED) -> None:
    """Check that the libraries of the report are there.

    Raises:
        UsageError: they are not.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the report needs {' and '.join(missing)}. Install them: pip install 'parity[report]'")


def write(runs: Sequence[Run], path: Path, judged: Sequence[Verdict | None] = ()) -> Path:
    """Write the report of `runs` to `path`; `judged` is what the gate says of each beside a baseline, if there is one.

    Raises:
        UsageError: the libraries of the report are not installed.
        StorageError: the file cannot be written.
    """
    require()
    cells = [
        panels.Cell(run, verdict, number, run.all_checks())
        for number, (run, verdict) in enumerate(zip_longest(runs, judged))
    ]
    write_atomically(path, render("cell.html.j2", cells=[(cell, _views(cell)) for cell in cells]))
    return path


def _views(cell: panels.Cell) -> list[tuple[str, Any]]:
    """The panels that have something to show, by name."""
    shown = ((name, import_module(f"parity.report.panels.{name}").view(cell)) for name in panels.NAMES)
    return [(name, view) for name, view in shown if view is not None]


def _headings(html: str) -> list[tuple[Any, Any]]:
    """Id and title of each section of a part of a page, as HTML."""
    from markupsafe import Markup

    return [(Markup(name), Markup(title)) for name, title in re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', html)]


def render(template: str, **values: Any) -> str:
    """The page that `template` of this folder makes of `values`; every string in them is escaped.

    Raises:
        UsageError: jinja2 is not installed.
    """
    require()
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    from parity.report import tables

    loader = PackageLoader("parity.report", ".")
    jinja = Environment(loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined)
    jinja.filters |= {name: getattr(numbers, name) for name in numbers.FILTERS} | {
        "score": numbers.number,
        "fragment": tables.fragment,
        "size": facts.size,
        "size_words": facts.size_words,
        "headings": _headings,
    }
    jinja.globals.update(signs=facts.SIGNS, script=tables.script)
    return jinja.get_template(template).render(values)
