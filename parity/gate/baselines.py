"""Baselines: what is kept of a run that was in order, to hold later runs against, small and made to be diffed.

A file is one JSON object, an item a line: by status its leaves, each with its score. Scores, budgets and powers
are rounded up to the next of 1, 2, 5, 10, 20, 50, …, and scores up to 1, which is as good as JAX itself, are 1: so a
run on another machine or another day, whose last bits differ, moves few lines, and since a baseline is never lower than
what was measured, rounding alone makes no check look worse. There are no bits, machines, times or elements in it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from parity.core.errors import NotComparableError, NotInOrderError, RecordError, UsageError
from parity.core.text import one_line, plural
from parity.gate import outputs
from parity.gate.checks import digits, disorder
from parity.gate.decision import is_power, judge
from parity.gate.policy import load_policy
from parity.gate.side import PACKAGES, PAIR, Side, read
from parity.records import FULL, Check
from parity.records.numbers import rows_text
from parity.records.statuses import IN_ORDER, SCHEMA

SHOWN = 30
"""Changed scores that are shown."""


def accept(run: Side) -> Side:
    """`run`, if it can be a baseline.

    Raises:
        UsageError: it is one already.
        NotInOrderError: it did not end by itself, or a check is out of order.
        NotComparableError: TensorFlow answered nothing in it.
    """
    if run.started_at is None:
        raise UsageError(f"{run.source} is a baseline already. Expected the record of a run.")
    if not run.complete():
        why = f"stopped: {one_line(run.stopped.evidence)}" if run.stopped else run.state
        raise NotInOrderError(f"{run.source} can be no baseline: its run was {why}. Run it again to its end.")
    if not run.compared():
        raise NotComparableError(f"{run.source} can be no baseline: TensorFlow answered nothing in it.")
    bad = [(check, why) for check in run.checks.values() if (why := _disorder(run, check))]
    if bad:
        check, why = bad[0]
        raise NotInOrderError(
            f"{run.source} can be no baseline: {len(bad):,} of {plural(len(run.checks), 'check')} not in order, such "
            f"as {one_line(check.leaf)} of {one_line(check.item)}, which {why}. Mend them, or list them as known "
            "issues."
        )
    return run


def _disorder(run: Side, check: Check) -> str:
    return disorder(check, is_power(run.places[check.item])) or (
        "" if check.status in IN_ORDER else f"ended in {check.status}"
    )


def file_name(run: Side) -> str:
    """Return the name of the run's baseline, without suffix: its cell.

    Raises:
        RecordError: the cell cannot be the name of a file.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run.cell):
        raise RecordError(
            f"{run.source} names its cell {run.name!r}, which cannot be the name of a file. Expected letters, digits, "
            "dots, dashes and underscores."
        )
    return run.cell


def rounded(value: float | str, floor: float = 0.0) -> float | str:
    """`value` rounded up to 1, 2 or 5 times a power of ten, at least `floor`; 0 and what is not finite as it is."""
    number = float(value)
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf"
    if not number:
        return 0
    number = max(number, floor)
    power = math.floor(math.log10(number))
    steps = [float(f"{step}e{power + more}") for more in (-1, 0, 1) for step in (1, 2, 5)]
    least = next((step for step in steps if number <= step < math.inf), number)
    return int(least) if least < 1e6 and least == int(least) else least


def dumps(run: Side) -> str:
    """`run` as the text of a baseline; the same for every order of its rows."""
    head = {
        "schema": SCHEMA, "kind": "baseline", "cell": run.cell, **_level(run.level), "mode": run.mode,
        "versions": {name: run.versions.get(name) for name in PACKAGES},
    }  # fmt: skip
    remedies = sorted({(r.case, r.requirement, r.failure) for r in run.remedies})
    warnings = None
    if run.deprecations is not None:
        warnings = [
            {"package": package, "message": message}
            for package, message in sorted((w.package, w.message) for w in run.deprecations if w.package in PAIR)
        ]
    return rows_text({
        **head,
        "items": list(_items(run)),
        "measures": list(_measures(run)),
        "remedies": [dict(zip(("case", "requirement", "failure"), row, strict=True)) for row in remedies],
        "deprecations": warnings,
    })  # fmt: skip


def _items(run: Side) -> Iterator[dict[str, Any]]:
    def key(check: Check) -> tuple[str, str]:
        return check.item, json.dumps(None if check.limit is None else _plain(check.limit))

    for (item, limit), checks in groupby(sorted(run.checks.values(), key=lambda c: (*key(c), c.status, c.leaf)), key):
        place = run.places[item]
        leaves: dict[str, dict[str, Any]] = {}
        for check in checks:
            leaves.setdefault(check.status, {})[check.leaf] = _kept(check)
        names = {"test": place.test if place.test != place.probe else "", "variant": place.variant}
        yield {
            "item": item, "case": place.case, "probe": place.probe, **{name: of for name, of in names.items() if of},
            "runtime": place.runtime, "tf_device": place.tf_device, "limit": json.loads(limit),
            **_level(run.level_of(item)), "leaves": leaves,
        }  # fmt: skip


def _level(level: str) -> dict[str, str]:
    return {} if level == FULL else {"level": level}


def _kept(check: Check) -> float | str | None:
    """Return the rounded score; what is within the limit stays within it."""
    if check.score is None:
        return None
    score, limit = rounded(check.score, 1.0), math.inf if check.limit is None else float(check.limit)
    return _plain(limit) if float(check.score) <= limit < float(score) else score


def _measures(run: Side) -> Iterator[dict[str, Any]]:
    levels = run.measure_levels()
    for case, probe, size in sorted(levels):
        of = (case, probe, size)
        budgets = {k[3]: [rounded(v) for v in b] for k, b in sorted(run.budgets.items()) if k[:3] == of}
        powers = {k[3]: rounded(p) for k, p in sorted(run.powers.items()) if k[:3] == of}
        kept = {name: rows for name, rows in (("budgets", budgets), ("powers", powers)) if rows}
        yield {"case": case, "probe": probe, "batch_size": size, **_level(levels[of]), **kept}


def _plain(value: float | str) -> float | str:
    number = float(value)
    if not math.isfinite(number):
        return str(value)
    return int(number) if number == int(number) else number


def difference(path: Path, run: Side, text: str) -> str:
    """Return what changes when `text`, the baseline of `run`, takes the place of the one in `path`, if there is one."""
    if not path.is_file():
        return f"There is no baseline {path} yet; this one has {plural(len(run.checks), 'check')}."
    try:
        old = read(path)
        lines = [outputs.terminal(judge(old, run, load_policy().with_downgrade()))]
    except (RecordError, NotComparableError) as error:
        return f"The baseline that is there cannot be compared: {error}"
    if path.read_bytes() == text.encode():
        return "\n".join([*lines, "", "The baseline stays as it is."])
    moved = list(_moved(old, run))
    lines += [
        "",
        f"{len(moved):,} scores change in {path}:" if moved else f"No score changes in {path}, other rows do.",
    ]
    lines += moved[:SHOWN]
    if moved[SHOWN:]:
        lines.append(f"  and {len(moved) - SHOWN:,} more")
    return "\n".join(lines)


def _moved(old: Side, run: Side) -> Iterator[str]:
    for key in sorted(old.checks.keys() | run.checks.keys()):
        before, after = _shown(old.checks.get(key)), _shown(run.checks.get(key))
        if before != after:
            item, leaf = map(one_line, key)
            yield f"  {item}\n    {leaf}: {before} -> {after}"


def _shown(check: Check | None) -> str:
    """Status and rounded score of a check."""
    if check is None:
        return "none"
    kept = _kept(check)
    score = "" if kept is None else digits(kept)
    return " ".join(filter(None, ("" if check.status == "pass" else check.status, score))) or "pass"
