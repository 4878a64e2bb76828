"""Relations that need no reference: what a runtime's answers must be to each other, whatever the right answer is.

Where one answer follows from another only as far as rounding goes, their distance is judged over the budget of the
whole batch; where it is the same computation again, they must agree to the bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorflow as tf

from parity.cases.specs import Answer, Array, Batch, outputs
from parity.core.errors import ParityError, RuntimeFailureError
from parity.export import artifact
from parity.export import conversion as export
from parity.probes import checks
from parity.runtimes import (
    CONVERTED,
    EVALUATION_OF,
    EVALUATIONS,
    JAX,
    SAVED_MODEL,
    SAVED_MODEL_FRESH,
    TF_GRAPH,
    TF_XLA,
    open_runtime,
)
from parity.runtimes.preparation import FIRST_CPU
from parity.runtimes.subject import Answers, Subject
from parity.scoring import rules
from parity.scoring.rules import LeafResult

ANY_BATCH = (JAX, *CONVERTED, SAVED_MODEL)
"""The runtimes that can be asked about batches that are not in the bundle."""
PREDICT, EVAL_LOSS = "predict", "eval_loss"


@dataclass(frozen=True)
class Relation:
    """A relation, the runtimes that it is asked of, the probe and all the runtimes that it needs.

    `judge(subject, runtime, size)` gives a result per leaf; `size` is that of the batch that it is about.
    """

    judge: Callable[[Subject, str, int], Iterable[LeafResult]]
    runtimes: tuple[str, ...]
    probe: str | None = None
    among: tuple[str, ...] = ()


def asked(probes: Sequence[str], runtimes: Sequence[str]) -> list[tuple[str, str]]:
    """The relations that are asked of a case with these probes, of these runtimes: name and runtime."""
    return [
        (name, runtime)
        for name, relation in RELATIONS.items()
        if relation.probe in (None, *probes) and set(relation.among) <= set(runtimes)
        for runtime in relation.runtimes if runtime in runtimes
    ]  # fmt: skip


def results(name: str, subject: Subject, runtime: str, size: int) -> list[LeafResult]:
    """The results on the relation `name` of a runtime, at a batch size.

    Raises:
        ParityError: the runtime failed.
    """
    return list(RELATIONS[name].judge(subject, runtime, size))


def _split_batch(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """A batch split in two, the last row alone, gives the same predictions."""
    batch, whole = subject.batch(size), _predictions(subject, runtime, subject.batch(size))
    for name, rows in (("first_rows", slice(0, batch.size - 1)), ("last_row", slice(batch.size - 1, None))):
        part = _predictions(subject, runtime, batch.map(lambda a, rows=rows: a[rows]))
        yield from _alike(subject, size, name, part, _rows(whole, rows), "the whole batch")


def _permuted_rows(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """Predictions of permuted rows are the permuted predictions."""
    batch = subject.batch(size)
    order = permutation(batch.size)
    wanted = _rows(_predictions(subject, runtime, batch), order)
    found = _predictions(subject, runtime, batch.map(lambda a: a[order]))
    yield from _alike(subject, size, "", found, wanted, "the batch in its own order")


def permutation(size: int) -> Array:
    """An order of rows, [size] int64, that a reversal or a shift does not undo."""
    return np.random.default_rng(0).permutation(size)


def _padding(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """Rows added behind change nothing, be they examples or extreme."""
    batch = subject.batch(size)
    larger = [s for s in subject.expected_sizes(runtime, PREDICT) if s > batch.size]
    # With no larger batch in the run, the batch is that without its last row, which splitting it compiles as well.
    padded = subject.batch(larger[0]) if larger else batch
    batch = batch if larger else batch.take(batch.size - 1)
    wanted, rows = _predictions(subject, runtime, batch), slice(0, batch.size)
    for name, filled in (("examples", padded), ("extreme", padded.map(lambda a: _extreme(a, batch.size)))):
        found = _rows(_predictions(subject, runtime, filled), rows)
        yield from _alike(subject, size, name, found, wanted, "the batch without padding")


def _extreme(array: Array, start: int) -> Array:
    """`array` with floats from row `start` on at the ends of their range; an integer may stand for something."""
    if not rules.is_float(array):
        return array
    most = float(jnp.finfo(array.dtype).max)
    signs = np.where(np.arange(array[start:].size) % 2, -1.0, 1.0).reshape(array[start:].shape)
    return np.concatenate([array[:start], (most * signs).astype(array.dtype)])


def _fixed_batch_size(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """Converted for one batch size, the predictions and the evaluation loss are those of a symbolic one."""
    batch, other = subject.batch(size), "the symbolic batch size"
    fixed = _in_fixed_size(subject, batch)
    yield from _alike(subject, size, PREDICT, fixed[PREDICT], _predictions(subject, runtime, batch), other)
    if EVAL_LOSS in subject.case.probes:
        evaluated = subject.ask(runtime, "evaluate", batch)
        yield from _alike(subject, size, EVAL_LOSS, fixed[EVAL_LOSS], evaluated[EVAL_LOSS], other, EVAL_LOSS)


def _in_fixed_size(subject: Subject, batch: Batch) -> Answers:
    case, state = subject.trained.case, subject.trained.state
    only = tuple(probe for probe in (PREDICT, EVAL_LOSS) if probe in case.probes)
    tensors, answers = batch.map(tf.constant), {}
    try:
        with export.remedied(subject.remedy.requirement if subject.remedy else None), tf.device(FIRST_CPU.upper()):
            module: Any = export.Exported(case, state, artifact.graph, only, batch.size)
            answers[PREDICT] = _numpy(outputs(module.predict(tensors.data)))
            if EVAL_LOSS in only:
                answers[EVAL_LOSS] = _numpy({"loss": module.eval_loss(tensors.data, tensors.labels)})
    except ParityError:
        raise
    except Exception as error:
        raise RuntimeFailureError(f"with a fixed batch size: {type(error).__name__}: {error}") from error
    return answers


def _numpy(tensors: dict[str, Any]) -> Answer:
    return {leaf: tensor.numpy() for leaf, tensor in tensors.items()}


def _two_loads(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """The artifact, loaded a second time, answers everything the same to the bit."""
    yield from _identical(subject, runtime, size, subject.runtime(runtime).model, "the first load")


def _saved_again(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """The artifact, saved again by a process that loaded it, answers everything the same to the bit."""
    fresh: Any = subject.runtime(SAVED_MODEL_FRESH)
    again, other, batch = fresh.saved_again(), "the model that was saved first", subject.batch(size)
    model = replace(subject.runtime(runtime).model, bundle=again)
    yield from _identical(subject, runtime, size, model, other)
    served = checks.serve(artifact.load(again / "saved_model"), batch) or {}
    wanted = _predictions(subject, runtime, batch)
    yield from _under("serving_default", rules.judge_identical(served, wanted, other))


def _identical(subject: Subject, runtime: str, size: int, model: Any, other: str) -> Iterable[LeafResult]:
    batch = subject.batch(size)
    evaluations = _evaluations(subject)
    first = {e: subject.ask(runtime, e, batch) for e in evaluations}
    with subject.instead({runtime: open_runtime(runtime, model)}):
        second = {e: subject.ask(runtime, e, batch) for e in evaluations}
    for evaluation, probe in _probes(subject, evaluations):
        found, wanted = second[evaluation].get(probe, {}), first[evaluation].get(probe, {})
        yield from _under(probe, rules.judge_identical(found, wanted, other))


def _modes_agree(subject: Subject, runtime: str, size: int) -> Iterable[LeafResult]:
    """Eager, graph and XLA agree with each other on every probe that has a budget; asked once, of the last of them."""
    batch = subject.batch(size)
    for evaluation in (e for e in _evaluations(subject) if e != rules.ACCURACY):
        answers = {mode: subject.ask(mode, evaluation, batch) for mode in CONVERTED}
        for one, other in itertools.combinations(CONVERTED, 2):
            for _, probe in _probes(subject, [evaluation]):
                found, wanted = answers[other].get(probe, {}), answers[one].get(probe, {})
                yield from _alike(subject, size, f"{one}-{other}/{probe}", found, wanted, one, probe)


def _evaluations(subject: Subject) -> list[str]:
    return list(dict.fromkeys(EVALUATION_OF[probe] for probe in subject.case.probes))


def _probes(subject: Subject, evaluations: Iterable[str]) -> Iterable[tuple[str, str]]:
    return [(e, probe) for e in evaluations for probe in EVALUATIONS[e] if probe in subject.case.probes]


def _predictions(subject: Subject, runtime: str, batch: Batch) -> Answer:
    return subject.ask(runtime, PREDICT, batch).get(PREDICT, {})


def _rows(answer: Answer, rows: Any) -> Answer:
    """Those rows of every leaf; a leaf without rows stays as it is, and will be found to be another shape."""
    return {leaf: array[rows] if array.ndim else array for leaf, array in answer.items()}


def _alike(
    subject: Subject, size: int, name: str, found: Answer, wanted: Answer, other: str, probe: str = PREDICT
) -> Iterable[LeafResult]:
    budgets = subject.budgets(EVALUATION_OF[probe], size)[probe]
    return _under(name, rules.judge_alike(found, wanted, budgets, subject.limit, other))


def _under(name: str, found: Iterable[LeafResult]) -> list[LeafResult]:
    return [rules.renamed(j, "/".join(filter(None, (name, j.leaf)))) for j in found]


RELATIONS = {
    "split_batch": Relation(_split_batch, ANY_BATCH, PREDICT),
    "permuted_rows": Relation(_permuted_rows, ANY_BATCH, PREDICT),
    "padding": Relation(_padding, ANY_BATCH, PREDICT),
    "fixed_batch_size": Relation(_fixed_batch_size, (TF_GRAPH,), PREDICT),
    "two_loads": Relation(_two_loads, (SAVED_MODEL,)),
    "saved_again": Relation(_saved_again, (SAVED_MODEL,)),
    "modes_agree": Relation(_modes_agree, (TF_XLA,), among=CONVERTED),
}
"""By name."""
