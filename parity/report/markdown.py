"""Runs as Markdown for the summary of a CI job, always under a mebibyte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parity.core.text import plural
from parity.gate import Verdict
from parity.gate.outputs import MARKDOWN_BYTES, TITLES
from parity.gate.text import markdown
from parity.gate.verdict import LEVELS
from parity.records import IN_ORDER, Check, Run
from parity.report import advice, facts
from parity.report.numbers import exact, number

ROOM = MARKDOWN_BYTES - 4096
WORST, FAILURES, GROUPS = 10, 50, 20
"""Rows of each part; rows that are cut are counted."""


def summary(runs: Iterable[tuple[Run, Verdict | None]]) -> str:
    """Return the verdict on every run, and the gate's if there is a baseline; then the details that fit."""
    pairs = list(runs)
    verdicts = [line for run, verdict in pairs for line in _verdict(run, verdict)]
    return _fitting([*verdicts, *(line for run, verdict in pairs for line in _lines(run, verdict))])


def _fitting(lines: Iterable[str]) -> str:
    """Return as many whole lines as there is room for, and how many there are more."""
    kept, size, left = [], 0, 0
    for line in lines:
        size += len(line.encode("utf-8", "backslashreplace")) + 1
        if size > ROOM:
            left += 1
        else:
            kept.append(line)
    return "\n".join([*kept, *(["", f"{plural(left, 'line')} more did not fit."] if left else []), ""])


def text(value: str, longest: int = 300) -> str:
    """Return a text of a record as Markdown without markup."""
    return markdown(facts.plain(value, longest))


def _verdict(run: Run, verdict: Verdict | None) -> Iterator[str]:
    yield f"{'✓' if run.in_order() else '✗'} {text(run.cell)}: **{text(run.verdict(), 1000)}**\n"
    if verdict is not None:
        yield f"{'✗' if verdict.exit_code else '✓'} {text(verdict.sentence, 1000)}\n"


def _lines(run: Run, verdict: Verdict | None) -> Iterator[str]:
    checks = run.all_checks()
    yield f"## {text(run.cell)}"
    yield "\n### What unblocks it\n"
    blocking = advice.blocking(run)
    for each in blocking:
        yield text(each.text, 1000)
        yield from ["", *_code(each.code), ""] if each.code else [""]
    if not blocking:
        yield "Nothing blocks it."
    for each in advice.known(run, checks)[:GROUPS]:
        yield f"- {text(each.text, 600)}"
    yield from _changes(verdict)
    yield from _matrix(run, checks)
    yield from _worst(checks)
    yield from _failures(checks)
    yield ""


def _code(code: str) -> Iterator[str]:
    """Yield a block of code, indented, because no text can end such a block."""
    yield from (f"    {line}" for line in facts.code_lines(code))


def _changes(verdict: Verdict | None) -> Iterator[str]:
    yield "\n### What changed since the baseline\n"
    if verdict is None:
        yield "No baseline was given; `parity report RUN --summary --baseline FILE` compares with one."
        return
    for level in LEVELS:
        groups = [group for group in verdict.groups if group.level == level]
        yield from (f"- {TITLES[level]}: {markdown(group.sentence)}" for group in groups[:GROUPS])
        if groups[GROUPS:]:
            yield f"- {TITLES[level]}: {len(groups) - GROUPS:,} more kinds"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(titles)
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _matrix(run: Run, checks: list[Check]) -> Iterator[str]:
    """Yield the worst status and score by test and runtime."""
    names, rows = facts.runtimes([*run.plan, *checks]), facts.matrix(checks)
    if not rows:
        return
    yield "\n### Matrix\n"
    yield "The worst status and score over all batch sizes and leaves; 1 is as accurate as JAX.\n"
    yield from _table(
        ["test", *(text(name, 60) for name in names)],
        ([text(row.label, 120), *(text(facts.status_and_score(row.at(name)), 80) for name in names)] for row in rows),
    )


def _worst(checks: list[Check]) -> Iterator[str]:
    worst = [check for check in facts.worst_leaves(checks) if check.score is not None][:WORST]
    if worst:
        yield "\n### Worst leaves\n"
        yield from _table(
            ["status", "leaf", "item", "score", "limit", "JAX's score"],
            (
                [
                    f"{facts.sign(c.status)} {text(c.status, 60)}", text(c.leaf, 120), text(c.item, 160),
                    number(c.score), exact(c.limit), number(c.jax_score),
                ]
                for c in worst
            ),
        )  # fmt: skip


def _failures(checks: list[Check]) -> Iterator[str]:
    """Yield the items that are not in order, with the command that repeats each."""
    found: dict[str, list[Check]] = {}
    for check in sorted(checks, key=facts.severity):
        if check.status not in IN_ORDER:
            found.setdefault(check.item, []).append(check)
    if not found:
        return
    yield "\n### Not in order\n"
    for item, bad in list(found.items())[:FAILURES]:
        first = bad[0]
        reason = first.message or first.evidence or ""
        yield (
            f"{facts.sign(first.status)} {text(first.status, 60)}: {text(item, 200)}, "
            f"{plural(len(bad), 'check')}, such as {text(first.leaf, 120)}{': ' if reason else ''}{text(reason, 400)}\n"
        )
        if first.repeat:
            yield from [*_code(first.repeat), ""]
    if len(found) > FAILURES:
        yield f"And {plural(len(found) - FAILURES, 'item')} more."
