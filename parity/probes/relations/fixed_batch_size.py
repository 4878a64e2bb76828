"""Converted for fixed sizes, the predictions and the evaluation loss are those of symbolic sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from parity.compat.causes import failed
from parity.core.errors import ParityError
from parity.probes.relations._relation import EVAL_LOSS, PREDICT, Relation, alike, predictions
from parity.runtimes.base import CASE, FIRST_CPU, GRAPH

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Batch
    from parity.probes.declaration import Scope
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


def _results(subject: Subject, place: Place, size: int) -> Iterator[LeafResult]:
    batch, other = subject.batch(size), "the symbolic batch size"
    fixed = _fixed_size_answers(subject, batch)
    yield from alike(subject, size, PREDICT, fixed[PREDICT], predictions(subject, place, batch), other)
    if EVAL_LOSS in subject.case.probes:
        symbolic = subject.answer(place.runtime, EVAL_LOSS, batch)
        yield from alike(subject, size, EVAL_LOSS, fixed[EVAL_LOSS], symbolic, other, EVAL_LOSS)


def _fixed_size_answers(subject: Subject, batch: Batch) -> dict[str, Answer]:
    import tensorflow as tf

    from parity.cases.specs import outputs
    from parity.export import artifact, conversion

    case, state = subject.trained.case, subject.trained.state
    functions = tuple(probe for probe in (PREDICT, EVAL_LOSS) if probe in case.probes)
    tensors, answers = batch.map(tf.constant), {}
    remedy = subject.remedy.requirement if subject.remedy else None
    try:
        with conversion.remedied(remedy), tf.device(FIRST_CPU.upper()):
            module: Any = conversion.Exported(case, state, artifact.graph, functions, batch.sizes)
            answers[PREDICT] = _arrays(outputs(module.predict(tensors.data)))
            if EVAL_LOSS in functions:
                answers[EVAL_LOSS] = _arrays({"loss": module.eval_loss(tensors.data, tensors.labels)})
    except ParityError:
        raise
    except Exception as error:
        raise failed("with a fixed batch size", error) from error
    return answers


def _arrays(tensors: dict[str, Any]) -> Answer:
    return {leaf: tensor.numpy() for leaf, tensor in tensors.items()}


def _runtimes(scope: Scope) -> list[str]:
    return scope.having(lambda can: (can.source, can.mode) == (CASE, GRAPH))


RELATION = Relation("fixed_batch_size", _results, _runtimes, order=3)
