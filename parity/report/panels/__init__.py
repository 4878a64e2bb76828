"""The panels of a cell's page, in their order: each a module with `view`, and a template of the same name beside it.

`view` makes of a `Cell` what its template shows, as plain data; None where there is nothing to show. To add a panel,
add the two files, and the name here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from parity.gate import Verdict
from parity.records import Check, Run
from parity.report import facts

NAMES = (
    "verdict", "unblocking", "changes", "matrix", "scores", "sizes", "curves", "latency", "profiles", "trust", "power",
    "environment", "checks",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A run as its page shows it.

    Attributes:
        run: its record.
        judged: what the gate says of it beside a baseline; None without one.
        number: of the run on the page, from 0.
        checks: `Run.all_checks`.
    """

    run: Run
    judged: Verdict | None = None
    number: int = 0
    checks: list[Check] = field(default_factory=list)

    def id(self, *parts: str) -> str:
        """The id of an element of this run, such as that of a check by its item and leaf; also of its row."""
        from parity.report.tables import permalink

        return permalink(*([f"run-{self.number + 1}"] if self.number else []), *parts)

    def row(self, check: Check) -> str:
        """The id of the row of a check."""
        return self.id(check.item, check.leaf)

    def name(self, case: str, probe: str) -> str:
        """A probe by name; with its case, where several cases have it."""
        return f"{case}: {probe}" if probe in self._of_several else probe

    @cached_property
    def _of_several(self) -> set[str]:
        return facts.of_several(self.checks)
