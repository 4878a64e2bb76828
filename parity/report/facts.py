"""What the page, Markdown and the terminal share: signs, the severity of checks, and the matrix of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from parity.core.text import one_line
from parity.records import IN_ORDER, NO_DEVICE, WHOLE, WHOLE_AGAIN, Check, PlanItem
from parity.report.numbers import number

SIGNS = {"pass": "✓", "known": "◇", "remedied": "⚒", "fixed": "!", "missing": "?"}
"""Of statuses; any other status is not in order, and has a cross."""
POWER = "power"
"""The test whose items are about probes: each has a row of its own in the matrix."""


def plain(text: str, longest: int = 1000) -> str:
    """Return `text` on one line by `core.text.one_line`, with a colon at its end as it is: it is not of a record."""
    return f"{one_line(text[:-1], longest)}:" if text.endswith(":") else one_line(text, longest)


def code_lines(text: str) -> list[str]:
    """Return lines of code that are safe to print and to copy: `::` stays where it cannot begin a CI command."""
    lines = [(line, plain(line, 4000)) for line in text.splitlines()]
    return [shown if line.lstrip().startswith("::") else shown.replace(":\\x3a", "::") for line, shown in lines]


def sign(status: str) -> str:
    """Return one character for a status."""
    return SIGNS.get(status, "✗")


def whole(check: Check) -> bool:
    """Return whether a check is about its whole item."""
    return check.leaf in (WHOLE, WHOLE_AGAIN)


def leaf(check: Check) -> str:
    """Return the leaf of a check in words."""
    return "the whole item" if whole(check) else check.leaf


def severity(check: Check) -> tuple[bool, float]:
    """Return a sort key: checks that are not in order first, then the highest score; NaN counts as infinite."""
    good = check.status in IN_ORDER
    score = check.score if check.score is not None else (0.0 if good else math.inf)
    return good, -math.inf if math.isnan(score) else -score


def worst_leaves(checks: Iterable[Check]) -> list[Check]:
    """Return the worst check of every leaf of a probe; of a leaf that is not in order, the worst on each runtime."""
    worst: dict[tuple[str, str, str, str], Check] = {}
    for check in sorted(checks, key=severity):
        bad = check.status not in IN_ORDER
        if bad or check.score is not None:
            worst.setdefault((check.case, check.probe, check.leaf, check.runtime if bad else ""), check)
    return list(worst.values())


def row_name(check: Check) -> str:
    """Return the name of the row of a check in the matrix: its test, and for the power of a probe its name too."""
    return f"{POWER}: {check.probe}" if check.test == POWER else check.test


@dataclass
class Row:
    """The checks of one test and probe of one case, by runtime and batch size.

    `label` is the name, with the case where several cases have that row; `test` is the name of the test.
    """

    label: str
    test: str
    cells: dict[tuple[str, int], list[Check]] = field(default_factory=dict)

    def runtimes(self) -> set[str]:
        """Return the runtimes of the row."""
        return {runtime for runtime, _ in self.cells}

    def at(self, runtime: str | None = None, size: int | None = None) -> list[Check]:
        """Return the checks at a runtime and a batch size; None stands for any."""
        found = ((r, s, c) for (r, s), c in self.cells.items())
        return [c for r, s, cs in found if runtime in (None, r) and size in (None, s) for c in cs]


def labels(checks: Iterable[Check]) -> Callable[[str, str], str]:
    """Return a function of a case and a name that adds the case to names that several cases have."""
    cases: dict[str, set[str]] = {}
    for check in checks:
        for name in (check.probe, row_name(check)):
            cases.setdefault(name, set()).add(check.case)
    return lambda case, name: f"{case}: {name}" if len(cases.get(name, ())) > 1 else name


def matrix(checks: Sequence[Check]) -> list[Row]:
    """Return a row for every case, test and probe: those on the most runtimes first, then by appearance."""
    label = labels(checks)
    rows: dict[tuple[str, str], Row] = {}
    for check in checks:
        name = row_name(check)
        row = rows.setdefault((check.case, name), Row(label(check.case, name), check.test))
        row.cells.setdefault((check.runtime, check.batch_size), []).append(check)
    return sorted(rows.values(), key=lambda row: -len(row.runtimes()))


def runtimes(items: Iterable[Check | PlanItem]) -> list[str]:
    """Return the runtimes in the order in which they are declared, as far as `items` show it.

    Those without TensorFlow come first. The items of one test are planned in the order of declaration, and tests in
    that of their files: the test on the most runtimes decides, and others add what is missing, before its successor.
    """
    with_tensorflow: dict[str, bool] = {}
    by_test: dict[tuple[str, str], dict[str, None]] = {}
    for item in items:
        with_tensorflow[item.runtime] = with_tensorflow.get(item.runtime, False) or on_tensorflow(item)
        by_test.setdefault((item.case, item.test), {})[item.runtime] = None
    ordered: list[str] = []
    for names in sorted(by_test.values(), key=len, reverse=True):
        place = len(ordered)
        for name in reversed(names):
            if name not in ordered:
                ordered.insert(place, name)
            place = ordered.index(name)
    return sorted(ordered, key=with_tensorflow.__getitem__)


def on_tensorflow(item: Check | PlanItem) -> bool:
    """Return whether TensorFlow is compared, and not JAX alone."""
    return item.tf_device != NO_DEVICE


def status_and_score(checks: Sequence[Check]) -> str:
    """Return the sign, status and score of the worst check, such as `✓ pass 1.23`; `-` without a check."""
    if not checks:
        return "-"
    worst = min(checks, key=severity)
    score = "" if worst.score is None else f" {number(worst.score)}"
    return f"{sign(worst.status)} {worst.status}{score}"


def size(size: int) -> str:
    """Return a batch size under a title that names it; 0 stands for the whole test set."""
    return f"{size:,}" if size else "test set"


def check_size(check: Check) -> str:
    """Return the batch size of a check, and what other sizes it is about, such as `batch 13, t=7`."""
    return with_sizes(size_words(check.batch_size), check)


def with_sizes(text: str, check: Check) -> str:
    """Return `text` with the sizes beside the batch size that a check is about."""
    return f"{text}, {check.sizes}" if check.sizes else text


def size_words(size: int) -> str:
    """Return a batch size, such as `batch 13`; 0 stands for the whole test set."""
    return f"batch {size:,}" if size else "test set"
