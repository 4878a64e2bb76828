"""Every check of every cell as one table: compact, because there are tens of thousands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parity.records import Check, Run
from parity.report import tables
from parity.report.facts import severity, sign, size_words


def view(runs: Sequence[Run], pages: Mapping[str, str | None]) -> dict[str, Any] | None:
    """The rows of all checks, and of each run the worst, which is shown without JavaScript; None without a check.

    Args:
        runs: one per cell.
        pages: by cell, the address of its page; None where it has none.
    """
    checks = [(run.cell, check) for run in runs for check in run.all_checks()]
    if not checks:
        return None
    groups = [
        tables.Group(
            [(cell,) for cell, _ in checks],
            names=[tables.permalink(cell) for cell, _ in checks],
            pages=[pages.get(cell) for cell, _ in checks],
        ),
        tables.Group([(f"{sign(check.status)} {check.status}",) for _, check in checks]),
        tables.Group(
            [_question(check) for _, check in checks],
            names=[tables.permalink(check.item, check.leaf) for _, check in checks],
        ),
        tables.Group([(check.score,) for _, check in checks]),
        tables.Group([(check.jax_score,) for _, check in checks]),
    ]
    worst = [_shown(run, min(mine, key=severity), pages) for run in runs if (mine := run.all_checks())]
    return {"data": tables.data(groups), "worst": worst, "total": len(checks), "cells": len(worst)}


def _question(check: Check) -> tuple[str, ...]:
    return check.case, check.probe, check.runtime, size_words(check.batch_size), check.leaf


def _shown(run: Run, check: Check, pages: Mapping[str, str | None]) -> dict[str, Any]:
    page = pages.get(run.cell)
    name = tables.permalink(check.item, check.leaf)
    return {
        "cell": run.cell,
        "check": check,
        "question": _question(check),
        "href": f"{page}#{tables.fragment(name)}" if page else None,
    }
