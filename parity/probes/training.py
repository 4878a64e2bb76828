"""Training in JAX moved the model: an untrained one hides stale statistics and swapped tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from parity.probes.declaration import Probe, one_per_case
from parity.records import QUICK, Curve
from parity.scoring.rules import LeafResult, pass_or_fail

if TYPE_CHECKING:
    from parity.cases.training import Trained


def results(trained: Trained) -> list[LeafResult]:
    """Return whether the evaluation loss fell, and whether the state moved.

    Every parameter and every other float must have moved, but for what the case declares frozen, which must not. Keys,
    counts and truth values need not move: a stream of random numbers may never be drawn from.
    """
    from parity.cases.functions import named

    before, after = trained.initial_eval_loss, trained.metrics.eval_loss[-1] if trained.metrics.eval_loss else math.nan
    fell = f"untrained: the evaluation loss went from {before:.4g} to {after:.4g}; expected it to fall"
    initial, final = (named((s.params, s.other)) for s in (trained.initial, trained.state))
    moved = {leaf: not np.array_equal(initial[leaf], final[leaf]) for leaf in initial}
    frozen = {leaf for leaf in moved if trained.case.is_frozen(leaf[2:])}
    still = [
        leaf[2:] for leaf in moved if not moved[leaf] and leaf not in frozen and initial[leaf].dtype.kind not in "biu"
    ]
    changed = [leaf[2:] for leaf in moved if moved[leaf] and leaf in frozen]
    wrong = [
        f"untrained: {', '.join(still)} did not move. If that is meant, declare it: frozen={tuple(still)}"
        if still
        else "",
        f"declared frozen, but moved: {', '.join(changed)}" if changed else "",
    ]
    state = pass_or_fail("state", "; ".join(filter(None, wrong)) or None)
    return [pass_or_fail("evaluation_loss", None if after < before else fell), state]


def curves(case: str, trained: Trained) -> list[Curve]:
    """Return the curves of training in JAX."""
    return metric_curves(case, "JAX", trained.metrics, 0, 0, handed_over=False)


def metric_curves(case: str, series: str, metrics: object, steps: int, epochs: int, handed_over: bool) -> list[Curve]:
    """Return the curves of a training's metrics.

    Args:
        case: the name of the case.
        series: who trained.
        metrics: has the lists `step_loss`, `train_loss`, `eval_loss` and `accuracy`.
        steps: the steps taken before.
        epochs: the epochs taken before.
        handed_over: whether training goes on from a hand-over; its evaluation starts before the first step.
    """

    def curve(name: str, x_label: str, values: list[float], start: int) -> Curve:
        x = [float(start + i) for i in range(len(values))]
        mark = float(steps if x_label == "step" else epochs) if handed_over else None
        return Curve(case, name, series, x_label, x, values, mark)

    first_epoch = epochs if handed_over else epochs + 1
    found = [
        curve("loss per step", "step", metrics.step_loss, steps + 1),  # type: ignore[attr-defined]
        curve("mean training loss", "epoch", metrics.train_loss, epochs + 1),  # type: ignore[attr-defined]
        curve("evaluation loss", "epoch", metrics.eval_loss, first_epoch),  # type: ignore[attr-defined]
        curve("accuracy", "epoch", metrics.accuracy, first_epoch),  # type: ignore[attr-defined]
    ]
    return [c for c in found if c.y and not math.isnan(c.y[-1])]


PROBE = Probe(name="training", plan=one_per_case(lambda scope: scope.reference), level=QUICK, trains=True)
