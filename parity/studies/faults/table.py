"""The outcomes as a table in the terminal, 80 columns wide."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from parity.records import FAIL
from parity.studies.faults import GROUPS
from parity.studies.faults.outcomes import BELOW_POWER, CAUGHT, Outcome

WIDTH = 80


def show(outcomes: list[Outcome]) -> None:
    """Print a table per group: the fault, the strongest check, how many are red, its score, how far over the limit."""
    console = Console(width=WIDTH, highlight=False)
    for group in GROUPS:
        rows = [outcome for outcome in outcomes if outcome.group == group]
        if rows:
            console.print(_table(group, rows))
    for outcome in outcomes:
        for line in _why(outcome):
            console.print(escape(line))


def _table(group: str, outcomes: list[Outcome]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=group.replace("_", " "), title_justify="left", padding=(0, 1, 0, 0))
    for name, width in (("fault", 29), ("strongest check", 21)):
        table.add_column(name, width=width, overflow="fold")
    for name, width in (("red", 6), ("score", 6), ("times limit", 8)):
        table.add_column(name, justify="right", width=width)
    for outcome in outcomes:
        table.add_row(escape(outcome.fault), escape(_check(outcome)), _red(outcome), *_scores(outcome))
    return table


def _check(outcome: Outcome) -> str:
    """Return what the check is about: the test, the batch size and the leaf."""
    return f"{outcome.test} b{outcome.batch_size} {outcome.leaf}"


def _red(outcome: Outcome) -> str:
    return f"{outcome.red}/{outcome.checks}"


def _scores(outcome: Outcome) -> tuple[str, str]:
    if outcome.score is None or outcome.over is None:
        return "", "exact" if outcome.status == FAIL else outcome.status
    return _short(outcome.score), _short(outcome.over)


def _short(number: float) -> str:
    """In at most six characters: 0.16, 990, 1.3e7, 2.7e33."""
    return f"{number:.2g}".replace("e+0", "e").replace("e+", "e") if number >= 1000 else f"{number:.3g}"


def _why(outcome: Outcome) -> list[str]:
    """Explain why a fault was not caught."""
    if outcome.verdict == CAUGHT:
        return []
    if outcome.verdict != BELOW_POWER:
        return [f"Not caught: {outcome.fault}, and it is not below the published power."]
    return [
        f"Below power: {outcome.fault}: {s.error:.3g} relative in {s.weight}; {s.probe} at batch size "
        f"{s.batch_size} catches {s.smallest_caught:.3g}."
        for s in outcome.shortfalls
    ]
