"""The long hand-over: from several seeds, every step to the end of training, and the accuracy that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import msgspec

from parity.cases.case import Case
from parity.core.ledger import TimeLedger
from parity.handover import CARRIED, EXPORTED, RESTARTED
from parity.handover.events import JAX_ALONE, HandoverEvents
from parity.handover.finetuning import finetuned
from parity.handover.setup import HandoverSetup, why_not_carried
from parity.handover.trajectories import STEPS, Trajectories
from parity.records import FAIL, PASS, Event, HandoverCost
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult, renamed

SEEDS = range(5)
SMALL_BATCH = 32
"""Besides the case's own batch size: the more steps the moments were made of, the more it costs to lose them."""


def results(case: Case, ledger: TimeLedger) -> tuple[list[LeafResult], list[Event]]:
    """Hand training over from each seed; return results by stage and of the final accuracy, and events.

    Raises:
        ParityError: a training cannot be handed over, or fails.
    """
    found: list[LeafResult] = []
    events: list[Event] = []
    ends: list[dict[str, float]] = []
    for seed in SEEDS:
        with _opened(case, ledger, None, seed=seed) as trajectories:
            found += _results(trajectories, f"seed_{seed}")
            ends.append(accuracies(trajectories))
            events += _events(trajectories, ends[-1], curves=seed == SEEDS[0])
    with _opened(case, ledger, STEPS, batch_size=SMALL_BATCH) as trajectories:
        found += _results(trajectories, f"batches_of_{SMALL_BATCH}")
        events += _events(trajectories, {}, curves=False)
    return [*found, *judge_accuracies(ends)], events


@contextmanager
def _opened(case: Case, ledger: TimeLedger, steps: int | None, **changes: Any) -> Iterator[Trajectories]:
    subject = Subject(replace(case, training=replace(case.training, **changes)), ledger)
    trajectories = Trajectories(HandoverSetup(subject), steps)
    try:
        subject.batch(1)
        yield trajectories
    finally:
        trajectories.close()
        subject.close()


def _results(trajectories: Trajectories, prefix: str) -> list[LeafResult]:
    return [
        renamed(result, f"{prefix}/{method}/{result.leaf}")
        for method in trajectories.resumable
        for result in trajectories.results(method, by_stage=True)
    ]


def accuracies(trajectories: Trajectories) -> dict[str, float]:
    """Return the accuracy on the test set at the end: of JAX alone, and of each method that was followed to there.

    Raises:
        ParityError: TensorFlow failed.
    """
    setup, case = trajectories.setup, trajectories.case
    if case.accuracy is None:
        return {}
    test, state = setup.subject.dataset.test, trajectories.jax_alone[1].state
    alone = float(jax.jit(case.accuracy)((state.params, state.other), test.data, test.labels))
    restarted = {} if why_not_carried(case) else {RESTARTED: finetuned(setup.subject).accuracy[-1]}
    ends = {method: training.accuracy(test) for method, training in trajectories.trainings.items()}
    return {JAX_ALONE: alone, **restarted, **ends}


def _events(trajectories: Trajectories, accuracies: dict[str, float], curves: bool) -> Iterator[Event]:
    events, alone = HandoverEvents(trajectories), accuracies.get(JAX_ALONE)
    for event in [*events.restarted(), *(e for method in trajectories.resumable for e in events.of(method))]:
        if isinstance(event, HandoverCost):
            yield msgspec.structs.replace(event, accuracy=accuracies.get(event.method), accuracy_alone=alone)
        elif curves:
            yield event


def judge_accuracies(ends: list[dict[str, float]]) -> list[LeafResult]:
    """Return whether the methods end as accurate as JAX alone, to within the spread of JAX over the seeds."""
    alone = [end[JAX_ALONE] for end in ends if end]
    found = []
    for method in (CARRIED, EXPORTED):
        apart = [abs(end[method] - end[JAX_ALONE]) for end in ends if method in end]
        if apart:
            spread = max(alone) - min(alone)
            message = f"an accuracy is {max(apart):.4f} from that of JAX alone, whose seeds spread over {spread:.4f}"
            off = not all(one <= spread for one in apart)
            found.append(LeafResult(f"accuracy/{method}", FAIL if off else PASS, message=message if off else None))
    return found
