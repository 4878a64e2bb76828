"""The whole hand-over: from several seeds every step to the end of training, and the accuracy that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec

from parity.cases.case import Case
from parity.core.ledger import Ledger
from parity.handover import CARRIED, EXPORTED
from parity.handover.trajectories import JAX_ALONE, STEPS, Trajectories, asked
from parity.records import FAIL, PASS, Event, HandoverCost
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult, renamed

SEEDS = range(5)
SMALL_BATCH = 32
"""Beside the case's own batches: the more steps the moments were made of, the more it costs to lose them."""


def results(case: Case, ledger: Ledger) -> tuple[list[LeafResult], list[Event]]:
    """Training handed over from each seed, by rung; and whether it ends as accurate as JAX alone.

    Raises:
        ParityError: a training cannot be handed over, or fails.
    """
    found: list[LeafResult] = []
    events: list[Event] = []
    ends: list[dict[str, float]] = []
    for seed in SEEDS:
        with _opened(case, ledger, None, seed=seed) as trajectories:
            found += _judged(trajectories, f"seed_{seed}")
            ends.append(trajectories.accuracies())
            events += _recorded(trajectories, ends[-1], curves=seed == SEEDS[0])
    with _opened(case, ledger, STEPS, batch_size=SMALL_BATCH) as trajectories:
        found += _judged(trajectories, f"batches_of_{SMALL_BATCH}")
        events += _recorded(trajectories, {}, curves=False)
    return [*found, *_accurate(ends)], events


@contextmanager
def _opened(case: Case, ledger: Ledger, steps: int | None, **changes: Any) -> Iterator[Trajectories]:
    subject = Subject(replace(case, training=replace(case.training, **changes)), ledger)
    trajectories = Trajectories(subject, steps)
    try:
        subject.batch(1)
        yield trajectories
    finally:
        trajectories.close()
        subject.close()


def _judged(trajectories: Trajectories, prefix: str) -> list[LeafResult]:
    ways = [way for way in asked(trajectories.case) if way in (CARRIED, EXPORTED)]
    return [renamed(j, f"{prefix}/{way}/{j.leaf}") for way in ways for j in trajectories.results(way, by_rung=True)]


def _recorded(trajectories: Trajectories, accuracies: dict[str, float], curves: bool) -> list[Event]:
    ways = [way for way in asked(trajectories.case) if way in (CARRIED, EXPORTED)]
    events = [*trajectories.restarted(), *(event for way in ways for event in trajectories.records(way))]
    alone = accuracies.get(JAX_ALONE)
    return [
        msgspec.structs.replace(event, accuracy=accuracies.get(event.method), accuracy_alone=alone)
        if isinstance(event, HandoverCost)
        else event
        for event in events
        if curves or isinstance(event, HandoverCost)
    ]


def _accurate(ends: list[dict[str, float]]) -> list[LeafResult]:
    """Whether the ways end as accurate as JAX alone, to within what another seed makes of JAX."""
    alone = [end[JAX_ALONE] for end in ends if end]
    found = []
    for way in (CARRIED, EXPORTED):
        apart = [abs(end[way] - end[JAX_ALONE]) for end in ends if way in end]
        if apart:
            spread = max(alone) - min(alone)
            message = f"an accuracy is {max(apart):.4f} from that of JAX alone, whose seeds spread over {spread:.4f}"
            off = not all(one <= spread for one in apart)
            found.append(LeafResult(f"accuracy/{way}", FAIL if off else PASS, message=message if off else None))
    return found
