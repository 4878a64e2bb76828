"""The score charts: every leaf a point, JAX beside TensorFlow, with the limit, a facet for each probe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from parity.records import Check
from parity.report import charts, facts
from parity.report.charts import JAX, TENSORFLOW
from parity.report.numbers import exact, number, plural
from parity.report.panels import Cell

LOWEST, HIGHEST = 0.01, 1e6
"""What is lower or higher is drawn at that edge: a score of 0 has no place on a log scale, and one of ∞ none at all."""


def view(cell: Cell) -> dict[str, Any] | None:
    """The chart; None where nothing has a score."""
    leaves = _leaves(cell.checks)
    if not leaves:
        return None
    rows = [
        (check.leaf, cell.name(check.case, facts.question(check)), number(jax), number(check.score),
         exact(check.limit), check.runtime, facts.size_words(check.batch_size))
        for check, jax in leaves
    ]  # fmt: skip
    columns = ("leaf", "probe", "JAX's score", "TensorFlow's", "limit", "worst on", "at")
    caption = _conclusion(leaves)
    return {"figure": charts.figure("Scores of every leaf", caption, _spec(cell, leaves), columns, rows)}


Leaf = tuple[Check, float | None]
"""TensorFlow's worst check of a leaf, and JAX's highest score there."""


def _leaves(checks: Sequence[Check]) -> list[Leaf]:
    """Of every leaf of a probe, the worst first."""
    found: dict[tuple[str, str, str], list[Check]] = {}
    for check in checks:
        if check.score is not None and facts.on_tensorflow(check):
            found.setdefault((check.case, facts.question(check), check.leaf), []).append(check)
    worst = [
        (min(mine, key=facts.severity), max((c.jax_score for c in mine if c.jax_score is not None), default=None))
        for mine in found.values()
    ]
    return sorted(worst, key=lambda leaf: facts.severity(leaf[0]))


def _conclusion(leaves: list[Leaf]) -> str:
    worst, _ = leaves[0]
    own = [jax for _, jax in leaves if jax is not None]
    said = (
        f"Of {plural(len(leaves), 'leaf').replace('leafs', 'leaves')}, TensorFlow scores highest at {worst.leaf} of "
        f"{facts.question(worst)}: {number(worst.score)}, of {exact(worst.limit)} allowed."
    )
    if own:
        said += f" JAX's own highest score is {number(max(own))}."
    low = sum(check.score is not None and check.score < LOWEST for check, _ in leaves)
    high = sum(check.score is not None and not check.score <= HIGHEST for check, _ in leaves)
    if low:
        said += f" {plural(low, 'score')} below {LOWEST}, most often exactly 0, drawn at the lower edge."
    if high:
        said += f" {plural(high, 'score')} beyond {number(HIGHEST)}, infinite or no number drawn at the upper edge."
    return said


def _spec(cell: Cell, leaves: list[Leaf]) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    placed: dict[str, int] = {}
    for check, jax in leaves:
        probe = cell.name(check.case, facts.question(check))
        placed[probe] = nth = placed.get(probe, -1) + 1
        for side, score in ((JAX, jax), (TENSORFLOW, check.score)):
            if score is not None:
                points.append(
                    {"probe": probe, "series": side, "score": charts.drawable(score, LOWEST, HIGHEST),
                     "spread": (nth * 0.618) % 1, "limit": check.limit, "said": f"{check.leaf}: {number(score)}"}
                )  # fmt: skip
    limits = [p["limit"] for p in points if p["limit"] is not None and math.isfinite(p["limit"])]
    y = {"field": "score", "type": "quantitative", "title": "score",
         **charts.log_scale([*(p["score"] for p in points), *limits])}  # fmt: skip
    sides = [JAX, TENSORFLOW]
    layers: list[dict[str, Any]] = [{
        "mark": {"type": "point", "filled": True},
        "encoding": {
            "x": {"field": "series", "type": "nominal", "title": None, "axis": {"labels": False, "ticks": False},
                  "scale": {"domain": sides}},
            "xOffset": {"field": "spread", "type": "quantitative", "scale": {"domain": [-0.2, 1.2]}},
            "y": y, "color": charts.colour(sides), "shape": charts.shape(sides), "description": {"field": "said"},
        },
    }]  # fmt: skip
    if limits:
        layers += charts.limit_of_facets(120)
    return {
        "data": {"values": points},
        "facet": {"field": "probe", "type": "nominal", "title": None, "sort": list(placed)},
        "columns": 6, "spacing": 14,
        "spec": {"width": 120, "height": 130, "layer": layers},
    }  # fmt: skip
