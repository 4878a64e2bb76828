"""Render an upgrade or a bisection: for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from parity.core.text import one_line
from parity.gate import outputs
from parity.gate.text import markdown as escaped
from parity.records import encode
from parity.records.atlas import score
from parity.upgrade.bisection import Boundary
from parity.upgrade.decision import Upgrade
from parity.upgrade.reasons import Finding
from parity.upgrade.runner import CellRecord
from parity.upgrade.search import Search

SCHEMA = 2
WIDTH = 80
_COLUMNS = ("corner", "jax", "tensorflow", "python", "outcome", "class", "worst score")
_NO_CODE = "The remedy in the record names no single release, and cannot be shown."
_SHOWN = 4
"""Changes of one finding that are shown; the JSON has all."""


def terminal(found: Upgrade) -> str:
    """Return the answer in 80 columns."""
    out = io.StringIO()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, overflow="fold", justify="right" if name == _COLUMNS[-1] else "left")
    for row in _rows(found):
        table.add_row(*row)
    Console(file=out, width=WIDTH, color_system=None).print(table, markup=False)
    parts = [wrapped(_headline(found)), out.getvalue().rstrip(), *map(wrapped, _notes(found)), "", "Who moved:"]
    parts += [wrapped(f"- {_line(finding)}") for finding in found.findings]
    if found.proof is not None:
        parts += ["", "The remedy:", "", textwrap.indent(found.proof.code or _NO_CODE, "    ")]
    text = "\n".join([*parts, "", *map(wrapped, _advice(found))])
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def markdown(found: Upgrade) -> str:
    """Return the answer as Markdown for a summary of continuous integration; after it, the gate's findings."""
    table = [f"| {' | '.join(map(escaped, row))} |" for row in (_COLUMNS, *_rows(found))]
    table.insert(1, "|" + " --- |" * len(_COLUMNS))
    parts = [f"**{escaped(_headline(found))}**", "\n".join(table), *map(escaped, _notes(found))]
    parts += ["\n".join(f"- {escaped(_line(finding))}" for finding in found.findings)]
    if found.proof is not None:
        code = found.proof.code
        parts += [f"The remedy:\n\n```python\n{code}\n```" if code else _NO_CODE]
    parts += map(escaped, _advice(found))
    if found.verdict is not None:
        parts.append(outputs.summary(found.verdict).partition("\n")[2].strip())
    return "\n\n".join(parts) + "\n"


def as_json(found: Upgrade) -> str:
    """Return the answer as JSON."""
    between = found.alternatives
    data = {
        "schema": SCHEMA, "kind": "upgrade", "decision": found.verdict and found.verdict.decision,
        "exit_code": found.exit_code, "sentence": _headline(found), "from": vars(found.old), "to": vars(found.new),
        "made": list(found.made), "corners": {name: one and _record(one) for name, one in found.corners.items()},
        "moved": list(map(_finding, found.findings)), "advice": list(map(_finding, found.advice)),
        "python": _finding(found.python), "remedy": found.proof and {**vars(found.proof), "code": found.proof.code},
        "between": between and {
            "newest": between.newest and vars(between.newest), "measured": between.measured, "total": between.total,
            "measure": between.command,
        },
    }  # fmt: skip
    return json.dumps(encode(data), indent=1, allow_nan=False) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "side": finding.side, "moved": finding.moved, "reason": finding.reason.code, "sentence": finding.sentence,
        "facts": finding.facts, "changes": finding.changes,
    }  # fmt: skip


def _record(one: CellRecord) -> dict[str, Any]:
    outcome = one.outcome
    return {
        "cell": one.cell.name, "status": outcome.status, "class": outcome.failure or None,
        "evidence": outcome.evidence or None, "worst_score": one.worst_score, "current": one.current,
    }  # fmt: skip


def _headline(found: Upgrade) -> str:
    if found.verdict is None:
        return f"Not comparable ({found.old} to {found.new}): {found.incomparable.rstrip('.')}."
    return found.verdict.sentence


def _rows(found: Upgrade) -> Iterator[tuple[str, ...]]:
    sides = {"old": found.old, "new": found.new}
    for name, one in found.corners.items():
        jax, _, tensorflow = name.partition("/")
        pins = (sides[jax].jax, sides[tensorflow].tensorflow)
        if one is None:
            yield name, *pins, "", "no record", "", ""
        else:
            outcome, worst = one.outcome, score(one.worst_score)
            yield name, *pins, one.cell.python or "", outcome.status, one_line(outcome.failure), worst


def _notes(found: Upgrade) -> Iterator[str]:
    """Yield where the records come from, and why a corner has no checks."""
    yield f"{found.python.sentence} Cells run now: {len(found.made)}."
    older = [name for name, one in found.corners.items() if one and not one.current]
    if older:
        yield f"Out of date (other options, another version of parity, a crash or a timeout): {', '.join(older)}."
    for name, one in found.corners.items():
        if one is not None and one.run.stopped is not None:
            yield one_line(f"{name}: {one.outcome}.", 600)


def _line(finding: Finding) -> str:
    """Return the sentence of a finding and the first changes behind it, safe to print."""
    changes = [*map(str, finding.changes[:_SHOWN])]
    if len(finding.changes) > _SHOWN:
        changes.append(f"{len(finding.changes) - _SHOWN} more")
    return one_line(" ".join([finding.sentence, *([f"{'; '.join(changes)}."] if changes else [])]), 2000)


def _advice(found: Upgrade) -> Iterator[str]:
    yield from map(_line, found.advice)
    if (between := found.alternatives) is not None:
        total = "unknown (the index cannot be read)" if between.total is None else f"{between.total:,}"
        yield f"Pairs in between, ends included: {total}; recorded: {between.measured:,}."
        if between.command:
            yield f"To measure the newer ones: {between.command}"


def wrapped(text: str) -> str:
    """Return `text` in lines of 80 columns; further lines of a list item are indented."""
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def search_line(found: Search, release: str) -> str:
    """Return what is known of one release of a bisection."""
    if release not in found.records or release in found.skipped:
        return one_line(f"skipped, {found.skipped[release]}", 600)
    record = found.records[release]
    source = "run now" if record.cell.name in found.runner.made else "recorded"
    return one_line(f"{record.outcome}, worst score {score(record.worst_score)} ({source})", 600)


def boundary_lines(found: Search, boundary: Boundary) -> Iterator[str]:
    """Yield the result of a bisection as text."""
    first = f"{found.package} {boundary.first_bad}"
    if boundary.unknown:
        first = f"one of {found.package} {', '.join(boundary.unknown)} (no answer) or {boundary.first_bad}"
    yield f"First bad release: {first}: {search_line(found, boundary.first_bad)}."
    yield f"Last good release: {found.package} {boundary.last_good}: {search_line(found, boundary.last_good)}."
    yield from (f"{found.package} {release}: {search_line(found, release)}." for release in found.skipped)
    made = len(found.runner.made)
    yield f"Environments: {made} run now, {len(found.records) - made} recorded before."
