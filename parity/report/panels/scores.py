"""The score charts: every leaf a point, JAX beside TensorFlow, with the limit, a facet for each row of the matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from parity.core.text import plural
from parity.records import Check
from parity.report import charts, facts
from parity.report.charts import HIGHEST, JAX, LOWEST, TENSORFLOW
from parity.report.numbers import exact, number
from parity.report.panels import Cell

ORDER = 50
Leaf = tuple[Check, float | None]
"""TensorFlow's worst check of a leaf, and JAX's highest score there."""


def view(cell: Cell) -> dict[str, Any] | None:
    """Return the chart; None where nothing has a score."""
    leaves = _leaves(cell.checks)
    if not leaves:
        return None
    rows = [
        (check.leaf, _label(cell, check), number(jax), number(check.score), exact(check.limit), check.runtime,
         facts.check_size(check))
        for check, jax in leaves
    ]  # fmt: skip
    columns = ("leaf", "test", "JAX's score", "TensorFlow's", "limit", "worst on", "at")
    return {"figure": charts.figure("Scores of every leaf", _caption(leaves), _spec(cell, leaves), columns, rows)}


def _label(cell: Cell, check: Check) -> str:
    return cell.label(check.case, facts.row_name(check))


def _leaves(checks: Sequence[Check]) -> list[Leaf]:
    """Return the leaves of every row of the matrix, the worst first."""
    found: dict[tuple[str, str, str], list[Check]] = {}
    for check in checks:
        if check.score is not None and facts.on_tensorflow(check):
            found.setdefault((check.case, facts.row_name(check), check.leaf), []).append(check)
    worst = [
        (min(group, key=facts.severity), max((c.jax_score for c in group if c.jax_score is not None), default=None))
        for group in found.values()
    ]
    return sorted(worst, key=lambda leaf: facts.severity(leaf[0]))


def _caption(leaves: list[Leaf]) -> str:
    worst, _ = leaves[0]
    own = [jax for _, jax in leaves if jax is not None]
    low = sum(check.score is not None and check.score < LOWEST for check, _ in leaves)
    high = sum(check.score is not None and not check.score <= HIGHEST for check, _ in leaves)
    parts = [
        f"Of {plural(len(leaves), 'leaf', 'leaves')}, TensorFlow scores highest at {worst.leaf} of "
        f"{facts.row_name(worst)}: {number(worst.score)}, of {exact(worst.limit)} allowed."
    ]
    parts += [f"JAX's own highest score is {number(max(own))}."] if own else []
    parts += [f"{plural(low, 'score')} below {LOWEST}, most often exactly 0, drawn at the lower edge."] if low else []
    edge = f"{plural(high, 'score')} beyond {number(HIGHEST)}, infinite or no number drawn at the upper edge."
    return " ".join([*parts, *([edge] if high else [])])


def _spec(cell: Cell, leaves: list[Leaf]) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    placed: dict[str, int] = {}
    for check, jax in leaves:
        label = _label(cell, check)
        placed[label] = nth = placed.get(label, -1) + 1
        points += [
            {"probe": label, "series": side, "score": charts.within(score), "spread": (nth * 0.618) % 1,
             "limit": check.limit, "text": f"{check.leaf}: {number(score)}"}
            for side, score in ((JAX, jax), (TENSORFLOW, check.score)) if score is not None
        ]  # fmt: skip
    limits = [p["limit"] for p in points if p["limit"] is not None and math.isfinite(p["limit"])]
    sides = [JAX, TENSORFLOW]
    encoding = {
        "x": charts.word("series", axis={"labels": False, "ticks": False}, scale={"domain": sides}),
        "xOffset": {"field": "spread", "type": "quantitative", "scale": {"domain": [-0.2, 1.2]}},
        "y": charts.number("score", "score", **charts.log_scale([*(p["score"] for p in points), *limits])),
        **charts.series(sides, "color", "shape"), "description": {"field": "text"},
    }  # fmt: skip
    layers = [{"mark": "point", "encoding": encoding}, *(charts.limit_of_facets(120) if limits else [])]
    return charts.facets(points, "probe", layers, 120, 130, 6)
