"""A run as Markdown for the summary of a CI job: the page's verdict and sentences, always under a mebibyte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parity.gate import Verdict
from parity.gate.outputs import MARKDOWN_BYTES, TITLES
from parity.gate.text import markdown
from parity.gate.verdict import LEVELS
from parity.records import IN_ORDER, Check, Run
from parity.report import facts
from parity.report.numbers import exact, number, plural

ROOM = MARKDOWN_BYTES - 4096
WORST, FAILURES, GROUPS = 10, 50, 20
"""Rows of each part; what is cut is counted."""


def summary(runs: Iterable[tuple[Run, Verdict | None]]) -> str:
    """The verdict on every run, and the gate's where there is a baseline; then of each what there is room for."""
    pairs = list(runs)
    verdicts = [line for run, judged in pairs for line in _verdict(run, judged)]
    return _fitting([*verdicts, *(line for run, judged in pairs for line in _lines(run, judged))])


def _fitting(lines: Iterable[str]) -> str:
    """As many whole lines as there is room for, and how many there are more."""
    kept, size, left = [], 0, 0
    for line in lines:
        size += len(line.encode("utf-8", "backslashreplace")) + 1
        if size > ROOM:
            left += 1
        else:
            kept.append(line)
    return "\n".join([*kept, *(["", f"{plural(left, 'line')} more did not fit."] if left else []), ""])


def text(value: str, longest: int = 300) -> str:
    """A text of a record as Markdown that shows just that."""
    return markdown(facts.plain(value, longest))


def _verdict(run: Run, judged: Verdict | None) -> Iterator[str]:
    yield f"{'✓' if run.in_order() else '✗'} {text(run.cell)}: **{text(run.verdict(), 1000)}**\n"
    if judged is not None:
        yield f"{'✗' if judged.exit_code else '✓'} {text(judged.sentence, 1000)}\n"


def _lines(run: Run, judged: Verdict | None) -> Iterator[str]:
    checks = run.all_checks()
    yield f"## {text(run.cell)}"
    yield "\n### What unblocks it\n"
    ways = facts.ways(run)
    for way in ways:
        yield text(way.text, 1000)
        yield from ["", *_code(way.code), ""] if way.code else [""]
    if not ways:
        yield "Nothing blocks it."
    for way in facts.known(checks)[:GROUPS]:
        yield f"- {text(way.text, 600)}"
    yield from _changes(judged)
    yield from _matrix(checks)
    yield from _worst(checks)
    yield from _failures(checks)
    yield ""


def _code(code: str) -> Iterator[str]:
    """A block of code; indented, because no text can end that."""
    yield from (f"    {line}" for line in facts.code(code))


def _changes(judged: Verdict | None) -> Iterator[str]:
    yield "\n### What changed since the baseline\n"
    if judged is None:
        yield "No baseline was given; `parity report RUN --summary --baseline FILE` compares with one."
        return
    for level in LEVELS:
        groups = [group for group in judged.groups if group.level == level]
        yield from (f"- {TITLES[level]}: {markdown(group.sentence)}" for group in groups[:GROUPS])
        if groups[GROUPS:]:
            yield f"- {TITLES[level]}: {len(groups) - GROUPS:,} more kinds"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(titles)
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _matrix(checks: list[Check]) -> Iterator[str]:
    """Worst status and score by probe and runtime."""
    names, rows, several = facts.runtimes(checks), facts.matrix(checks), facts.of_several(checks)
    if not rows:
        return
    yield "\n### Matrix\n"
    yield "The worst status and score over all batch sizes and leaves; about 1 is as good as JAX itself.\n"
    yield from _table(
        ["probe", *(text(name, 60) for name in names)],
        (
            [
                text(f"{row.case}: {row.probe}" if row.probe in several else row.probe, 120),
                *(_standing(row.at(name)) for name in names),
            ]
            for row in rows
        ),
    )


def _standing(checks: list[Check]) -> str:
    if not checks:
        return "-"
    worst = min(checks, key=facts.severity)
    score = "" if worst.score is None else f" {number(worst.score)}"
    return f"{facts.sign(worst.status)} {text(worst.status, 60)}{score}"


def _worst(checks: list[Check]) -> Iterator[str]:
    worst = [check for check in facts.worst_leaves(checks) if check.score is not None][:WORST]
    if worst:
        yield "\n### Worst leaves\n"
        yield from _table(
            ["status", "leaf", "question", "score", "limit", "JAX's score"],
            (
                [
                    f"{facts.sign(c.status)} {text(c.status, 60)}", text(c.leaf, 120), text(c.item, 160),
                    number(c.score), exact(c.limit), number(c.jax_score),
                ]
                for c in worst
            ),
        )  # fmt: skip


def _failures(checks: list[Check]) -> Iterator[str]:
    """What is not in order, by question, with the command that repeats it."""
    found: dict[str, list[Check]] = {}
    for check in sorted(checks, key=facts.severity):
        if check.status not in IN_ORDER:
            found.setdefault(check.item, []).append(check)
    if not found:
        return
    yield "\n### Not in order\n"
    for item, mine in list(found.items())[:FAILURES]:
        first = mine[0]
        why = first.message or first.evidence or ""
        yield (
            f"{facts.sign(first.status)} {text(first.status, 60)}: {text(item, 200)}, "
            f"{plural(len(mine), 'check')}, such as {text(first.leaf, 120)}{': ' if why else ''}{text(why, 400)}\n"
        )
        if first.repeat:
            yield from [*_code(first.repeat), ""]
    if len(found) > FAILURES:
        yield f"And {plural(len(found) - FAILURES, 'question')} more."
