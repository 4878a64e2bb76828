"""The panels of a cell's page: each a module with `ORDER` and `view`, and a template of the same name beside it.

`view` makes of a `Cell` the plain data that its template shows, or None where there is nothing to show. Panels are
found in this folder and sorted by `ORDER`; to add one, add the two files. The first panel stands above the contents.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from parity.gate import Verdict
from parity.records import Check, Run
from parity.report import facts


@dataclass(frozen=True)
class Cell:
    """A run as its page shows it.

    Attributes:
        run: its record.
        verdict: that of the gate beside a baseline; None without one.
        number: of the run on the page, from 0.
        checks: `Run.all_checks`.
    """

    run: Run
    verdict: Verdict | None = None
    number: int = 0
    checks: list[Check] = field(default_factory=list)

    def id(self, *parts: str) -> str:
        """Return the id of an element of this run, such as that of the row of a check by its item and leaf."""
        from parity.report.tables import permalink

        return permalink(*([f"run-{self.number + 1}"] if self.number else []), *parts)

    def row(self, check: Check) -> str:
        """Return the id of the row of a check."""
        return self.id(check.item, check.leaf)

    def label(self, case: str, name: str) -> str:
        """Return the name of a probe or test; with its case, where several cases have it."""
        return self._labels(case, name)

    @cached_property
    def _labels(self) -> Callable[[str, str], str]:
        return facts.labels(self.checks)


@cache
def modules() -> dict[str, Any]:
    """Return the panels by name, in their order; one that cannot be imported stands last, and its `view` raises."""
    found = {info.name: _panel(info.name) for info in pkgutil.iter_modules(__path__)}
    return dict(sorted(found.items(), key=lambda panel: panel[1].ORDER))


def _panel(name: str) -> Any:
    try:
        module = import_module(f"{__name__}.{name}")
        assert isinstance(module.ORDER, (int, float)), f"ORDER is {module.ORDER!r}. Expected a number."
    except Exception as error:
        return SimpleNamespace(ORDER=math.inf, view=partial(_raise, error))
    return module


def _raise(error: Exception, cell: Cell) -> None:
    raise error
