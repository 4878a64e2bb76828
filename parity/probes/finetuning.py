"""The reloaded artifact trains on: from JAX's loss, on JAX's schedule, every parameter moving, the loss falling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from parity.probes.declaration import Probe, Scope, one_per_case
from parity.probes.training import metric_curves
from parity.records import FULL, Curve, PlanItem
from parity.scoring import rules
from parity.scoring.rules import UNIT_ROUNDOFF, LeafResult, pass_or_fail

if TYPE_CHECKING:
    from parity.handover.finetuning import Finetuned, FirstUpdate
    from parity.runtimes.subject import Subject

RATE_TOLERANCE = 8 * UNIT_ROUNDOFF
"""Relative; 4 ulp. Both sides compute rate * decay**epoch in float32, with a `pow` of their own."""

ADAM_ROUNDINGS = 16 * UNIT_ROUNDOFF
"""Relative, of an update: Keras' Adam takes some ten float32 operations, each off by up to one unit roundoff."""

POWER_ERROR = 4 * UNIT_ROUNDOFF
"""Relative, of a beta to the power of the step: 2 ulp of TensorFlow's `pow`."""


def results(subject: Subject, after: Finetuned) -> list[LeafResult]:
    """Return whether fine-tuning started, ran and ended as it must."""
    from parity.cases.training import schedule
    from parity.handover.finetuning import published

    before, training = subject.trained, subject.case.training
    expected = before.steps + training.epochs_after * before.steps_per_epoch
    count = None if after.steps == expected else f"the optimizer counts {after.steps} steps, expected {expected}"
    rates = schedule(training, before.steps_per_epoch)
    scheduled = [float(rates(step)) for step in range(before.steps, expected)]
    off = [
        f"the learning rate at step {before.steps + i} is {found:.9g}, expected {rate:.9g}"
        for i, (found, rate) in enumerate(zip(after.learning_rate, scheduled, strict=True))
        if not abs(found - rate) <= RATE_TOLERANCE * rate
    ]
    still = f"fine-tuning did not move {', '.join(after.unmoved)}" if after.unmoved else None
    first, last = before.metrics.train_loss[-1], after.train_loss[-1] if after.train_loss else math.nan
    rose = f"the training loss of the last epoch is {last:.4g}, in JAX's last it was {first:.4g}; expected it to fall"
    return [
        _handover_loss(subject, after),
        pass_or_fail("iterations", count),
        pass_or_fail("learning_rate", off[0] if off else None),
        *([pass_or_fail("first_update", off_formula(after.first, before.steps))] if published(training) else []),
        pass_or_fail("parameters", still),
        pass_or_fail("training_loss", None if last < first else rose),
    ]


def off_formula(first: FirstUpdate | None, steps: int) -> str | None:
    """Return how the first update differs from Adam's formula in float64, from the gradient that was applied."""
    from parity.handover.finetuning import adam_powers, adam_update

    if first is None:
        return "no step was taken in TensorFlow"
    if first.iterations != (steps, steps + 1):
        counted = " to ".join(map(str, first.iterations))
        return f"the optimizer counted from {counted}, expected {steps} to {steps + 1}"
    one, two = adam_powers(steps + 1)
    # The bias corrections subtract a power from 1, which cancels at the first steps.
    relative = ADAM_ROUNDINGS + POWER_ERROR * (one / (1 - one) + two / (1 - two) / 2)
    for leaf, before in first.before.items():
        gradient = first.gradient.get(leaf, np.zeros_like(before))
        update = adam_update(gradient, first.learning_rate, steps + 1)
        allowed = np.spacing(np.maximum(np.abs(first.after[leaf]), np.abs(before))) + relative * np.abs(update)
        excess = np.abs(first.after[leaf] - (before - update)) / allowed
        if not (excess <= 1).all():
            index = np.unravel_index(int(np.nan_to_num(excess, nan=np.inf).argmax()), excess.shape)
            moved = float(before[index]) - float(first.after[leaf][index])
            where = f"{leaf}{[int(i) for i in index]}"
            return (
                f"{where} moved by {moved:.9g}, Adam's formula at step {steps + 1} gives {float(update[index]):.9g} "
                f"for the gradient {float(gradient[index]):.9g}; {float(excess[index]):.3g} times what rounding allows"
            )
    return None


def _handover_loss(subject: Subject, after: Finetuned) -> LeafResult:
    """Return the evaluation loss before the first step in TensorFlow, scored like the probe `eval_loss`."""
    size, reference = subject.dataset.test.size, subject.reference
    jax, oracle = (subject.kept(name, "evaluate", size)["eval_loss"] for name in (reference.jax, reference.oracle))
    budgets = subject.budgets("evaluate", size)["eval_loss"]
    own = {"loss": np.float32(after.eval_loss[0])[()]}
    [result] = rules.judge(own, jax, oracle, budgets, subject.limit_of("eval_loss"))
    return rules.renamed(result, "handover_loss")


def curves(subject: Subject, after: Finetuned) -> list[Curve]:
    """Return the curves of training that goes on in TensorFlow, from the hand-over."""
    case = subject.case
    return metric_curves(case.name, "TensorFlow", after, subject.trained.steps, case.training.epochs, handed_over=True)


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.handover.setup import why_not_carried

    refused = why_not_carried(scope.case)
    if refused is None:
        yield from one_per_case(lambda scope: scope.reader)(scope, probe)
    else:
        scope.left_out[f"{scope.case.name}-carried"] = f"{scope.case.name}: a Keras optimizer left out: {refused}"


PROBE = Probe(name="finetuning", plan=_plan, level=FULL, trains=True, continues=True)
