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
from parity.runtimes.harness import Answers, Harness
from parity.runtimes.preparation import FIRST_CPU
from parity.scoring import judging
from parity.scoring.judging import Judgement

ANY_BATCH = (JAX, *CONVERTED, SAVED_MODEL)
"""The runtimes that can be asked about batches that are not in the bundle."""
PREDICT, EVAL_LOSS = "predict", "eval_loss"


@dataclass(frozen=True)
class Relation:
    """A relation, the runtimes that it is asked of, the probe and all the runtimes that it needs.

    `judge(harness, runtime, size)` gives a judgement per leaf; `size` is that of the batch that it is about.
    """

    judge: Callable[[Harness, str, int], Iterable[Judgement]]
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


def judgements(name: str, harness: Harness, runtime: str, size: int) -> list[Judgement]:
    """The judgements on the relation `name` of a runtime, at a batch size.

    Raises:
        ParityError: the runtime failed.
    """
    return list(RELATIONS[name].judge(harness, runtime, size))


def _split_batch(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """A batch split in two, the last row alone, gives the same predictions."""
    batch, whole = harness.batch(size), _predictions(harness, runtime, harness.batch(size))
    for name, rows in (("first_rows", slice(0, batch.size - 1)), ("last_row", slice(batch.size - 1, None))):
        part = _predictions(harness, runtime, batch.map(lambda a, rows=rows: a[rows]))
        yield from _alike(harness, size, name, part, _rows(whole, rows), "the whole batch")


def _permuted_rows(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """Predictions of permuted rows are the permuted predictions."""
    batch = harness.batch(size)
    order = permutation(batch.size)
    wanted = _rows(_predictions(harness, runtime, batch), order)
    found = _predictions(harness, runtime, batch.map(lambda a: a[order]))
    yield from _alike(harness, size, "", found, wanted, "the batch in its own order")


def permutation(size: int) -> Array:
    """An order of rows, [size] int64, that a reversal or a shift does not undo."""
    return np.random.default_rng(0).permutation(size)


def _padding(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """Rows added behind change nothing, be they examples or extreme."""
    batch = harness.batch(size)
    larger = [s for s in harness.expected_sizes(runtime, PREDICT) if s > batch.size]
    # With no larger batch in the run, the batch is that without its last row, which splitting it compiles as well.
    padded = harness.batch(larger[0]) if larger else batch
    batch = batch if larger else batch.take(batch.size - 1)
    wanted, rows = _predictions(harness, runtime, batch), slice(0, batch.size)
    for name, filled in (("examples", padded), ("extreme", padded.map(lambda a: _extreme(a, batch.size)))):
        found = _rows(_predictions(harness, runtime, filled), rows)
        yield from _alike(harness, size, name, found, wanted, "the batch without padding")


def _extreme(array: Array, start: int) -> Array:
    """`array` with floats from row `start` on at the ends of their range; an integer may stand for something."""
    if not judging.is_float(array):
        return array
    most = float(jnp.finfo(array.dtype).max)
    signs = np.where(np.arange(array[start:].size) % 2, -1.0, 1.0).reshape(array[start:].shape)
    return np.concatenate([array[:start], (most * signs).astype(array.dtype)])


def _fixed_batch_size(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """Converted for one batch size, the predictions and the evaluation loss are those of a symbolic one."""
    batch, other = harness.batch(size), "the symbolic batch size"
    fixed = _in_fixed_size(harness, batch)
    yield from _alike(harness, size, PREDICT, fixed[PREDICT], _predictions(harness, runtime, batch), other)
    if EVAL_LOSS in harness.case.probes:
        evaluated = harness.ask(runtime, "evaluate", batch)
        yield from _alike(harness, size, EVAL_LOSS, fixed[EVAL_LOSS], evaluated[EVAL_LOSS], other, EVAL_LOSS)


def _in_fixed_size(harness: Harness, batch: Batch) -> Answers:
    case, state = harness.trained.case, harness.trained.state
    only = tuple(probe for probe in (PREDICT, EVAL_LOSS) if probe in case.probes)
    tensors, answers = batch.map(tf.constant), {}
    try:
        with export.remedied(harness.remedy.requirement if harness.remedy else None), tf.device(FIRST_CPU.upper()):
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


def _two_loads(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """The artifact, loaded a second time, answers everything the same to the bit."""
    yield from _identical(harness, runtime, size, harness.runtime(runtime).subject, "the first load")


def _saved_again(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """The artifact, saved again by a process that loaded it, answers everything the same to the bit."""
    fresh: Any = harness.runtime(SAVED_MODEL_FRESH)
    again, other, batch = fresh.saved_again(), "the model that was saved first", harness.batch(size)
    subject = replace(harness.runtime(runtime).subject, bundle=again)
    yield from _identical(harness, runtime, size, subject, other)
    served = checks.serve(artifact.load(again / "saved_model"), batch) or {}
    wanted = _predictions(harness, runtime, batch)
    yield from _under("serving_default", judging.judge_identical(served, wanted, other))


def _identical(harness: Harness, runtime: str, size: int, subject: Any, other: str) -> Iterable[Judgement]:
    batch = harness.batch(size)
    evaluations = _evaluations(harness)
    first = {e: harness.ask(runtime, e, batch) for e in evaluations}
    with harness.instead({runtime: open_runtime(runtime, subject)}):
        second = {e: harness.ask(runtime, e, batch) for e in evaluations}
    for evaluation, probe in _probes(harness, evaluations):
        found, wanted = second[evaluation].get(probe, {}), first[evaluation].get(probe, {})
        yield from _under(probe, judging.judge_identical(found, wanted, other))


def _modes_agree(harness: Harness, runtime: str, size: int) -> Iterable[Judgement]:
    """Eager, graph and XLA agree with each other on every probe that has a budget; asked once, of the last of them."""
    batch = harness.batch(size)
    for evaluation in (e for e in _evaluations(harness) if e != judging.ACCURACY):
        answers = {mode: harness.ask(mode, evaluation, batch) for mode in CONVERTED}
        for one, other in itertools.combinations(CONVERTED, 2):
            for _, probe in _probes(harness, [evaluation]):
                found, wanted = answers[other].get(probe, {}), answers[one].get(probe, {})
                yield from _alike(harness, size, f"{one}-{other}/{probe}", found, wanted, one, probe)


def _evaluations(harness: Harness) -> list[str]:
    return list(dict.fromkeys(EVALUATION_OF[probe] for probe in harness.case.probes))


def _probes(harness: Harness, evaluations: Iterable[str]) -> Iterable[tuple[str, str]]:
    return [(e, probe) for e in evaluations for probe in EVALUATIONS[e] if probe in harness.case.probes]


def _predictions(harness: Harness, runtime: str, batch: Batch) -> Answer:
    return harness.ask(runtime, PREDICT, batch).get(PREDICT, {})


def _rows(answer: Answer, rows: Any) -> Answer:
    """Those rows of every leaf; a leaf without rows stays as it is, and will be found to be another shape."""
    return {leaf: array[rows] if array.ndim else array for leaf, array in answer.items()}


def _alike(
    harness: Harness, size: int, name: str, found: Answer, wanted: Answer, other: str, probe: str = PREDICT
) -> Iterable[Judgement]:
    budgets = harness.budgets(EVALUATION_OF[probe], size)[probe]
    return _under(name, judging.judge_alike(found, wanted, budgets, harness.limit, other))


def _under(name: str, found: Iterable[Judgement]) -> list[Judgement]:
    return [judging.renamed(j, "/".join(filter(None, (name, j.leaf)))) for j in found]


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
