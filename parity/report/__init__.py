"""The room of all presentation: one HTML file per run or atlas, Markdown for CI, and the terminal.

In come records (`parity.records`), verdicts of the gate (`parity.gate`) and the atlas. Out go pages that make no
request and can be read without their script (`write`, `report.atlas.write`), Markdown (`report.markdown`) and texts for
the terminal (`report.terminal`). Pages need the extra `report`; everything else needs the base install only.
"""

from __future__ import annotations

import importlib.util
import re
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.core.errors import PanelError, UsageError
from parity.core.storage import write_atomically
from parity.core.text import one_line
from parity.gate import Verdict
from parity.records import Run
from parity.report.numbers import listed

if TYPE_CHECKING:
    from parity.report.panels import Cell

NEEDED = ("jinja2", "vl_convert", "itables")


def missing() -> str:
    """Return in a sentence which libraries of a page are not installed; empty where all are."""
    names = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"the report needs {listed(names)}. Install: pip install 'parity[report]'" if names else ""


def require() -> None:
    """Check that a page can be made.

    Raises:
        UsageError: a library is not installed.
    """
    if text := missing():
        raise UsageError(text)


def write_if_installed(runs: Sequence[Run], path: Path) -> str:
    """Write the report of `runs` to `path`, if its libraries are installed: a record does not depend on them.

    Returns:
        A line that says where the report is, or which panel of it failed, or why there is none and what to install.

    Raises:
        StorageError: the file cannot be written.
    """
    if text := missing():
        return f"No report was written: {text}"
    try:
        return f"Report: {write(runs, path)}"
    except PanelError as error:  # the verdict of a run is in its record, whatever its page shows
        return str(error)


def write(runs: Sequence[Run], path: Path, verdicts: Sequence[Verdict | None] = ()) -> Path:
    """Write the report of `runs` to `path`; `verdicts` are those of the gate beside a baseline, if there is one.

    Raises:
        UsageError: a library of the report is not installed.
        StorageError: the file cannot be written.
        PanelError: a panel failed; the page is written, and has a line about it in place of the panel.
    """
    require()
    from parity.report import panels

    cells = [
        panels.Cell(run, verdict, number, run.all_checks())
        for number, (run, verdict) in enumerate(zip_longest(runs, verdicts))
    ]
    failures: dict[str, str] = {}
    write_atomically(path, render("cell.html.j2", cells=[(cell, list(_panels(cell, failures))) for cell in cells]))
    if failures:
        raise PanelError(f"{' '.join(failures.values())} The rest of the page is in {path}.")
    return path


def _panels(cell: Cell, failures: dict[str, str]) -> Iterator[Any]:
    """Yield the HTML of every panel that has something to show; add to `failures`, by name, what went wrong."""
    from markupsafe import Markup

    from parity.report import panels

    for name, module in panels.modules().items():
        try:
            view = module.view(cell)
            if view is not None:
                yield Markup(render("panel.html.j2", cell=cell, name=name, view=view))
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            failures[name] = f"The panel {name} failed: {one_line(f'{type(error).__name__}: {error}', 400)} ({where})."
            yield Markup('<p class="fail">✗ {}</p>').format(failures[name])


def _headings(html: str) -> list[tuple[Any, Any]]:
    """Return the id and title of each section of a part of a page, as HTML."""
    from markupsafe import Markup

    return [(Markup(name), Markup(title)) for name, title in re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', html)]


def render(template: str, **values: Any) -> str:
    """Return the page that `template` of this folder makes of `values`; every string in them is escaped.

    Raises:
        UsageError: a library of the report is not installed.
    """
    require()
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    from parity.report import facts, numbers, tables

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
    return jinja
