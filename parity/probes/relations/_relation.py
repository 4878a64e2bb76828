"""What a relation is, and what relations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parity.cases import layout
from parity.cases.layout import Output
from parity.probes.declaration import Scope
from parity.runtimes.base import ANY_BATCH, ARTIFACT, CANDIDATE, EVALUATION_OF, EVALUATIONS, ORACLE, Model
from parity.runtimes.registry import open_runtime
from parity.scoring import rules
from parity.scoring.rules import LeafResult

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Batch
    from parity.probes.evaluation import Place
    from parity.runtimes.subject import Subject

PREDICT, EVAL_LOSS = "predict", "eval_loss"


@dataclass(frozen=True)
class Relation:
    """A relation.

    Attributes:
        name: in plan items.
        results: computes the result of every leaf, of a subject at a place and batch size.
        runtimes: the selected runtimes that it is asked of.
        probe: the probe that the case must have; None for any case.
        order: among the relations of a runtime: what shares compiled programs is asked one after the other.
        of_rows: whether it is about rows of predictions, and leaves out what depends on all examples.
        other_sizes: whether it asks at batch sizes that the run does not have, which a case may not allow.
    """

    name: str
    results: Callable[[Subject, Place, int], Iterable[LeafResult]]
    runtimes: Callable[[Scope], Iterable[str]]
    probe: str | None = PREDICT
    order: int = 0
    of_rows: bool = False
    other_sizes: bool = False


def of_any_batch(scope: Scope) -> list[str]:
    """Return the runtimes that accept batches which are not in the bundle."""
    return scope.having(lambda can: can.role != ORACLE and can.batch == ANY_BATCH and PREDICT in can.evaluations)


def reading_artifact(scope: Scope) -> list[str]:
    """Return the runtimes that read the artifact in this process."""
    return scope.having(lambda can: (can.role, can.source, can.own_process) == (CANDIDATE, ARTIFACT, False))


def predictions(subject: Subject, place: Place, batch: Batch) -> Answer:
    """Return the runtime's predictions by leaf name."""
    return subject.evaluate(place.runtime, PREDICT, batch, place.device).get(PREDICT, {})


def rows(subject: Subject, answer: Answer, chosen: Any) -> Answer:
    """Return those rows of every output that has a row per example; others as `of_rows` leaves them."""
    followed = subject.shared(Layout).outputs

    def part(leaf: str, array: Any) -> Any:
        output = followed.get(leaf)
        if output is None or output.kind != layout.ROWS or array.ndim <= output.axis:
            return array
        return array[(slice(None),) * output.axis + (chosen,)]

    return {leaf: part(leaf, array) for leaf, array in answer.items()}


def of_rows(subject: Subject, answer: Answer) -> Answer:
    """Return the outputs of which rows say what they must be: those with a row per example, and those without examples.

    What depends on all examples, such as their mean, changes with them; see `unrelated`.
    """
    followed = subject.shared(Layout).outputs
    return {leaf: array for leaf, array in answer.items() if leaf not in followed or related(followed[leaf])}


def related(output: Output) -> bool:
    """Return whether rows say what an output must be."""
    return output.kind in (layout.ROWS, layout.FIXED)


class Layout:
    """How the outputs of a subject's case follow the batch, traced once."""

    def __init__(self, subject: Subject) -> None:
        self.outputs = layout.of_outputs(subject.case, subject.dataset.test.sizes)


def alike(
    subject: Subject, size: int, name: str, found: Answer, expected: Answer, other: str, probe: str = PREDICT
) -> list[LeafResult]:
    """Return results that hold the distance of two answers against the budgets of the whole batch.

    The limit is twice that of the probe, since two answers that pass may lie on either side of the oracle, and at most
    the largest of all.
    """
    budgets = subject.budgets(EVALUATION_OF[probe], size)[probe]
    limit = min(2 * subject.limit_of(probe), max(rules.LIMIT, subject.limit_of(probe)))
    return prefixed(name, rules.judge_alike(found, expected, budgets, limit, other))


def prefixed(name: str, results: Iterable[LeafResult]) -> list[LeafResult]:
    """Return the results with `name/` before their leaves."""
    return [rules.renamed(result, "/".join(filter(None, (name, result.leaf)))) for result in results]


def evaluations(subject: Subject) -> list[str]:
    """Return the evaluations that the case's probes need."""
    return list(dict.fromkeys(EVALUATION_OF[probe] for probe in subject.case.probes))


def identical(subject: Subject, place: Place, size: int, model: Model, other: str) -> Iterable[LeafResult]:
    """Yield results that require every answer of `model` to equal the subject's own to the bit."""
    batch, can = subject.batch(size), subject.capabilities(place.runtime)
    with closing(open_runtime(place.runtime, model)) as opened:
        second = subject.with_runtimes({place.runtime: opened})
        for evaluation in (e for e in evaluations(subject) if e in can.evaluations):
            again = second.evaluate(place.runtime, evaluation, batch)
            first = subject.evaluate(place.runtime, evaluation, batch, like=again)
            for probe in EVALUATIONS[evaluation]:
                if probe in subject.case.probes and can.answers(probe, evaluation):
                    same = rules.judge_identical(again.get(probe, {}), first.get(probe, {}), other)
                    yield from prefixed(probe, same)
        second.release()
