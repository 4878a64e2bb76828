"""An upgrade in words: for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from parity.gate import outputs
from parity.gate.text import markdown as plain
from parity.gate.text import one_line
from parity.records import REMEDIED, encode
from parity.records.atlas import score
from parity.upgrade.between import counted, measure
from parity.upgrade.making import Recorded
from parity.upgrade.upgrading import Upgrade

SCHEMA = 1
WIDTH = 80
_NO_CODE = "The remedy in the record names no single release, and cannot be shown."
_COLUMNS = ("corner", "jax", "tensorflow", "python", "outcome", "class", "worst score")


def terminal(found: Upgrade) -> str:
    """The whole of it in 80 columns."""
    parts = [_wrapped(_first(found)), _table(found), *map(_wrapped, _of_records(found))]
    parts += ["Who moved:", *(_item(moved.sentence) for moved in found.moved)]
    if found.proof is not None:
        code = found.proof.code
        parts += ["", "The remedy:", "", textwrap.indent(code, "    ")] if code else ["", _wrapped(_NO_CODE)]
    parts += ["", *map(_wrapped, _unblocking(found))]
    return "\n".join(parts).rstrip()


def markdown(found: Upgrade) -> str:
    """The same as Markdown, for a summary of continuous integration; after it, what the gate found."""
    rows = [[name, *_cells(found, name)] for name in found.corners]
    table = [f"| {' | '.join(map(plain, row))} |" for row in ([*_COLUMNS], *rows)]
    table.insert(1, "|" + " --- |" * len(_COLUMNS))
    parts = [f"**{plain(_first(found))}**", "\n".join(table), *map(plain, _of_records(found))]
    parts += ["\n".join(f"- {plain(moved.sentence)}" for moved in found.moved)]
    if found.proof is not None:
        code = found.proof.code
        parts += [f"The remedy:\n\n```python\n{code}\n```" if code else _NO_CODE]
    parts += list(map(plain, _unblocking(found)))
    if found.verdict is not None:
        parts.append(outputs.summary(found.verdict).partition("\n")[2].strip())
    return "\n\n".join(parts) + "\n"


def as_json(found: Upgrade) -> str:
    """The same as JSON."""
    head = found.verdict
    unblocking = found.between
    newest = unblocking and unblocking.newest
    data = {
        "schema": SCHEMA, "kind": "upgrade", "decision": head and head.decision, "exit_code": found.exit_code,
        "sentence": _first(found), "from": vars(found.old), "to": vars(found.new), "made": list(found.made),
        "corners": {name: one and _row(one) for name, one in found.corners.items()},
        "moved": [vars(moved) for moved in found.moved],
        "remedy": found.proof and {**vars(found.proof), "code": found.proof.code},
        "between": unblocking and {
            "newest": newest and vars(newest), "measured": unblocking.measured, "total": unblocking.total,
            "measure": measure(unblocking, found.old, found.new) if unblocking.unmeasured else None,
        },
    }  # fmt: skip
    return json.dumps(encode(data), indent=1, allow_nan=False) + "\n"


def _first(found: Upgrade) -> str:
    if found.verdict is None:
        return f"Not comparable ({found.old} to {found.new}): {found.incomparable.rstrip('.')}."
    return found.verdict.sentence


def _row(one: Recorded) -> dict[str, Any]:
    became = one.outcome
    return {
        "cell": one.cell.name, "status": became.status, "class": became.failure or None,
        "evidence": became.evidence or None, "worst_score": one.worst_score, "current": one.current,
    }  # fmt: skip


def _table(found: Upgrade) -> str:
    out = io.StringIO()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, overflow="fold", justify="right" if name == _COLUMNS[-1] else "left")
    for name in found.corners:
        table.add_row(name, *_cells(found, name))
    Console(file=out, width=WIDTH, color_system=None).print(table, markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def _cells(found: Upgrade, name: str) -> list[str]:
    jax, _, tensorflow = name.partition("/")
    sides = {"old": found.old, "new": found.new}
    pins = [sides[jax].jax, sides[tensorflow].tensorflow]
    one = found.corners[name]
    if one is None:
        return [*pins, "", "no record", "", ""]
    became = one.outcome
    shown = [one.cell.python or "", became.status, one_line(became.failure), score(one.worst_score)]
    return [*pins, *shown]


def _of_records(found: Upgrade) -> Iterator[str]:
    """Where the records are from, what of them is older, and why a corner was never asked."""
    there = len({one.cell.name for one in found.corners.values() if one}) - len(found.made)
    reused = f"{there} of the corners were recorded already" if found.made else "nothing had to be run"
    yield f"Judged {found.on}; {reused}."
    older = [name for name, one in found.corners.items() if one and not one.current]
    if older:
        yield f"Made by another parity, or from other options, and not made again: {', '.join(older)}."
    for name, one in found.corners.items():
        if one is not None and one.run.stopped is not None:
            became = one.outcome
            yield f"{name} {became.status}, {one_line(became.failure)}: {one_line(became.evidence, 600)}."
    yield ""


def _unblocking(found: Upgrade) -> Iterator[str]:
    """The proof of the remedy, and the newest pair in between that needs none."""
    new = found.corners["new/new"]
    if found.proof is not None:
        proof, worst = found.proof, score(found.proof.worst_score)
        failed = f"{proof.not_in_order:,} of them not in order" if proof.not_in_order else "all of them in order"
        yield (
            f"Proof: {found.new} ran {proof.checks:,} checks under it, {failed}; the worst score is {worst}, the limit "
            f"{score(proof.limit)}."
        )
    elif found.between is not None and new is not None and new.outcome.status != REMEDIED:
        yield f"No remedy is known for {one_line(new.outcome.failure) or 'this'}."
    if found.between is None:
        return
    known = found.between
    count = counted(known)
    if known.newest is None:
        yield f"No pair in between is known to need no remedy; {count}."
    elif known.newest == found.old:
        yield f"Of the pairs in between, none newer than the one you have is known to need no remedy; {count}."
    else:
        assert known.row is not None
        yield (
            f"The newest pair in between that needs no remedy, by jax and then by tensorflow, is {known.newest} (worst "
            f"score {score(known.row['worst_score'])}); {count}."
        )
    if known.unmeasured:
        yield f"To measure what is newer: {measure(known, found.old, found.new)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(
        one_line(text, 2000), WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
    )
