"""A run in the terminal, in few lines that are read at 80 columns and without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from parity.gate.text import one_line
from parity.records import IN_ORDER, Check, Run, Timing
from parity.report import facts
from parity.report.numbers import count, duration, exact, number, times

WORST = 5


def show(run: Run, width: int = 80) -> str:
    """The verdict, what unblocks it, the worst leaves, a line for each probe, and latencies where there are any."""
    checks = run.all_checks()
    lines = _wrapped(f"{'✓' if run.in_order() else '✗'} {run.verdict()}", width)
    for way in facts.ways(run):
        lines += ["", *_wrapped(way.text, width), *(f"    {line}" for line in facts.code(way.code))]
    for title, rows in (("Worst leaves", _worst(checks, width)), ("Probes", _probes(checks)),
                        ("Latency", _latency(run.timings))):  # fmt: skip
        if rows:
            lines += ["", *_table(title, rows, width)]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(facts.plain(text), width)


Line = tuple[str, ...]
"""The first is to the left, the others to the right."""


def _table(title: str, rows: list[Line], width: int) -> Iterator[str]:
    """Rows under their titles in the first of them; the first column gives way where a line is too long."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(12, min(widths[0], width - sum(widths[1:]) - 2 * len(widths)))
    yield f"{title}:"
    for first, *rest in rows:
        cells = [
            _short(first, widths[0]).ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)),
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def _short(text: str, longest: int) -> str:
    """The end of a name tells more than its beginning."""
    text = one_line(text)
    return text if len(text) <= longest else f"…{text[1 - longest :]}"


def _worst(checks: Iterable[Check], width: int) -> list[Line]:
    worst = facts.worst_leaves(checks)[:WORST]
    if not worst:
        return []
    room = max(20, width - 55)
    rows = [
        (c.leaf, _short(f"{facts.question(c)}, {c.runtime}", 30), facts.size(c.batch_size), number(c.score),
         exact(c.limit), _status(c.status))
        for c in worst
    ]  # fmt: skip
    head = ("leaf", "of", "batch", "score", "limit", "status")
    return [head, *((_short(leaf, max(room, 24)), *rest) for leaf, *rest in rows)]


def _status(status: str) -> str:
    return f"{facts.sign(status)} {_short(status, 12)}"


def _probes(checks: list[Check]) -> list[Line]:
    """A line for each probe; one for the powers of them all."""
    several = facts.of_several(checks)
    named: dict[str, list[Check]] = {}
    for row in facts.matrix(checks):
        name = f"{row.case}: {row.probe}" if row.probe in several else row.probe
        named.setdefault("power of the probes" if facts.POWER in row.probe else name, []).extend(row.at())
    rows: list[Line] = []
    for name, mine in named.items():
        worst = min(mine, key=facts.severity)
        bad = sum(check.status not in IN_ORDER for check in mine)
        place = _short(worst.runtime, 18)
        rows.append((name, count(len(mine)), count(bad), number(worst.score), place, _status(worst.status)))
    return [("probe", "checks", "bad", "worst", "on", "status"), *rows] if rows else []


def _latency(timings: list[Timing]) -> list[Line]:
    """A line for each step and runtime, at the largest batch size of the step."""
    largest: dict[tuple[str, str, str], Timing] = {}
    for timing in timings:
        key = (timing.case, timing.step, timing.runtime)
        if key not in largest or timing.batch_size > largest[key].batch_size:
            largest[key] = timing
    several = len({timing.case for timing in timings}) > 1
    rows: list[Line] = [
        (f"{f'{t.case}: ' if several else ''}{t.step} on {t.runtime}", facts.size(t.batch_size),
         duration(t.median_ns), times(t.ratio),
         "-" if t.ratio_low is None else f"{number(t.ratio_low)} to {number(t.ratio_high)}",
         "" if t.narrow else "not narrow")
        for t in largest.values()
    ]  # fmt: skip
    return [("step", "batch", "median", "to JAX", "interval", ""), *rows] if rows else []
