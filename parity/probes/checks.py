"""Checks beside the probes: of training, of the saved artifact, and of training that goes on in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.specs import Batch, by_name, outputs
from parity.cases.training import Metrics, Trained, schedule
from parity.core.errors import RuntimeFailureError
from parity.export import artifact
from parity.export import conversion as export
from parity.handover import fusion
from parity.handover.finetuning import Finetuned, FirstUpdate, adam_powers, adam_update, published
from parity.handover.finetuning import finetuned as train_on
from parity.records import FAIL, PASS, Curve
from parity.runtimes import JAX, JAX_FLOAT64
from parity.runtimes.jax import named
from parity.runtimes.subject import Subject
from parity.scoring import rules
from parity.scoring.rules import UNIT_ROUNDOFF, LeafResult

RATE_TOLERANCE = 8 * UNIT_ROUNDOFF
"""Relative; 4 ulp. Both sides compute rate * decay**epoch in float32, with a `pow` of their own."""


ADAM_ROUNDINGS = 16 * UNIT_ROUNDOFF
"""Relative, of an update: Keras' Adam takes some ten float32 operations, each off by up to one unit roundoff."""

POWER_ERROR = 4 * UNIT_ROUNDOFF
"""Relative, of a beta to the power of the step: 2 ulp of TensorFlow's `pow`."""


def _verdict(leaf: str, message: str | None) -> LeafResult:
    return LeafResult(leaf, FAIL if message else PASS, message=message)


def trained(model: Trained) -> list[LeafResult]:
    """Whether training moved the model: an untrained one hides stale statistics and swapped tensors."""
    before, after = model.initial_eval_loss, model.metrics.eval_loss[-1] if model.metrics.eval_loss else math.nan
    fell = f"untrained: the evaluation loss went from {before:.4g} to {after:.4g}; expected it to fall"
    initial, final = (named((s.params, s.other)) for s in (model.initial, model.state))
    still = [leaf[2:] for leaf in initial if np.array_equal(initial[leaf], final[leaf])]
    stuck = f"untrained: {', '.join(still)} did not move" if still else None
    return [_verdict("evaluation_loss", None if after < before else fell), _verdict("state", stuck)]


def saved(subject: Subject) -> list[LeafResult]:
    """Whether the two SavedModels are what a server and a trainer need."""
    everything, inference = subject.bundle / "saved_model", subject.bundle / "inference"
    return [
        *(_verdict(f"{path.name}/constants", _large_constants(path)) for path in (everything, inference)),
        *_served(subject, artifact.load(everything), artifact.load(inference)),
    ]


def _large_constants(path: Path) -> str | None:
    name, size = max(constants(path), key=lambda pair: pair[1])
    if size <= artifact.LARGEST_CONSTANT:
        return None
    return (
        f"weights in the graph: the constant {name} has {size:,} bytes, expected at most {artifact.LARGEST_CONSTANT:,}"
    )


def constants(path: Path) -> Iterator[tuple[str, int]]:
    """Every constant of the SavedModel in `path`, those inside exported programs included: name and size in bytes."""
    yield "none", 0
    for name, found in artifact.constants(path):
        if isinstance(found, int):
            yield name, found
        else:
            yield from ((f"in the program {name}", size) for size in export.program_constants(found))


def _served(subject: Subject, everything: Any, inference: Any) -> Iterator[LeafResult]:
    """Four ways to predict, on every batch size of the run: all must give the same bits.

    Raises:
        RuntimeFailureError: TensorFlow cannot run the artifact.
    """
    try:
        yield from _predicted(subject, everything, inference)
    except tf.errors.OpError as error:
        raise RuntimeFailureError(f"TensorFlow cannot run the artifact: {error}") from error


def _predicted(subject: Subject, everything: Any, inference: Any) -> Iterator[LeafResult]:
    for size, batch in subject.batches():
        wanted = {k: v.numpy() for k, v in outputs(everything.predict(batch.data)).items()}
        answers = {
            "saved_model/serving_default": serve(everything, batch),
            "inference/predict": {k: v.numpy() for k, v in outputs(inference.predict(batch.data)).items()},
            "inference/serving_default": serve(inference, batch),
        }
        for name, found in answers.items():
            yield _verdict(f"{name}/b{size}", _unlike(found, wanted))


def _unlike(found: dict[str, Any] | None, wanted: dict[str, Any]) -> str | None:
    if found is None:
        return "there is no serving_default signature: a server has nothing to call"
    same = set(found) == set(wanted) and all(found[k].tobytes() == wanted[k].tobytes() for k in wanted)
    return None if same else "differs from saved_model/predict, which has the same program"


def serve(module: Any, batch: Batch) -> dict[str, Any] | None:
    """What a server gets from `module`, by leaf name; None where it finds nothing to call."""
    signature = dict(module.signatures).get("serving_default")
    if signature is None:
        return None
    return {k: v.numpy() for k, v in signature(**{n: tf.constant(a) for n, a in by_name(batch.data).items()}).items()}


def finetuned(subject: Subject, after: Finetuned) -> list[LeafResult]:
    """Whether the artifact trains on: from JAX's loss, on JAX's schedule, every parameter moving, the loss falling."""
    before = subject.trained
    training = subject.case.training
    expected = before.steps + training.epochs_after * before.steps_per_epoch
    count = None if after.steps == expected else f"the optimiser counts {after.steps} steps, expected {expected}"
    rates = schedule(training, before.steps_per_epoch)
    wanted = [float(rates(step)) for step in range(before.steps, expected)]
    off = [
        f"the learning rate at step {before.steps + i} is {found:.9g}, expected {rate:.9g}"
        for i, (found, rate) in enumerate(zip(after.learning_rate, wanted, strict=True))
        if not abs(found - rate) <= RATE_TOLERANCE * rate
    ]
    still = f"fine-tuning did not move {', '.join(after.unmoved)}" if after.unmoved else None
    first, last = before.metrics.train_loss[-1], after.train_loss[-1] if after.train_loss else math.nan
    rose = f"the training loss of the last epoch is {last:.4g}, in JAX's last it was {first:.4g}; expected it to fall"
    return [
        _handover(subject, after),
        _verdict("iterations", count),
        _verdict("learning_rate", off[0] if off else None),
        *([_verdict("first_update", _off_formula(after.first, before.steps))] if published(training) else []),
        _verdict("parameters", still),
        _verdict("training_loss", None if last < first else rose),
    ]


def _off_formula(first: FirstUpdate | None, steps: int) -> str | None:
    """How the first update differs from Adam's formula in float64, from the gradient that was applied."""
    if first is None:
        return "no step was taken in TensorFlow"
    if first.iterations != (steps, steps + 1):
        counted = " to ".join(map(str, first.iterations))
        return f"the optimiser counted from {counted}, expected {steps} to {steps + 1}"
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


def _handover(subject: Subject, after: Finetuned) -> LeafResult:
    """The evaluation loss before the first step in TensorFlow, judged like the probe `eval_loss`."""
    size = subject.dataset.test.size
    jax, oracle = (subject.kept(name, "evaluate", size)["eval_loss"] for name in (JAX, JAX_FLOAT64))
    budgets = subject.budgets("evaluate", size)["eval_loss"]
    [result] = rules.judge({"loss": np.float32(after.eval_loss[0])[()]}, jax, oracle, budgets, subject.limit)
    return rules.renamed(result, "handover_loss")


def jax_curves(case: str, metrics: Metrics) -> list[Curve]:
    """The curves of training in JAX."""
    return _curves(case, "JAX", metrics, 0, 0, None)


def tensorflow_curves(subject: Subject) -> list[Curve]:
    """The curves of training that goes on in TensorFlow, from the hand-over."""
    model, metrics = subject.trained, train_on(subject)
    return _curves(subject.case.name, "TensorFlow", metrics, model.steps, subject.case.training.epochs, True)


def _curves(case: str, series: str, metrics: Any, steps: int, epochs: int, handed: bool | None) -> list[Curve]:
    def curve(name: str, x_label: str, values: list[float], start: int) -> Curve:
        x = [float(start + i) for i in range(len(values))]
        mark = float(steps if x_label == "step" else epochs) if handed else None
        return Curve(case, name, series, x_label, x, values, mark)

    from_handover = 0 if handed else 1
    found = [
        curve("loss per step", "step", metrics.step_loss, steps + 1),
        curve("mean training loss", "epoch", metrics.train_loss, epochs + 1),
        curve("evaluation loss", "epoch", metrics.eval_loss, epochs + from_handover),
        curve("accuracy", "epoch", metrics.accuracy, epochs + from_handover),
    ]
    return [c for c in found if c.y and not math.isnan(c.y[-1])]


ONCE: dict[str, Callable[[Subject], tuple[list[LeafResult], list[Curve]]]] = {
    "training": lambda subject: (trained(subject.trained), []),
    "artifact": lambda subject: (saved(subject), []),
    "fusion": lambda subject: (fusion.results(subject), []),
    "finetuning": lambda subject: (finetuned(subject, train_on(subject)), tensorflow_curves(subject)),
}
"""By name, what is checked once per case, and the curves that it leaves."""
