"""Training goes on in TensorFlow as if it had stayed in JAX."""

import pytest

from parity.core.ledger import FRAMEWORKS, TRAINING
from parity.handover import long_handover
from parity.probes.optimizers import Optimizers
from parity.probes.trajectory import Handover
from parity.records import PlanItem
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order
from parity.session.run import RunSession


@pytest.mark.parity_probe("first_steps")
def test_first_steps(item: PlanItem, subject: Subject, record: Recording) -> None:
    """The first steps of a training that was handed over lie on JAX's own trajectory, in every stage."""
    with subject.ledger.spend(TRAINING):
        results = subject.shared(Handover).first_steps(item.batch_size).results(item.variant)
    assert_in_order(record(results))


@pytest.mark.parity_probe("trajectory")
def test_trajectory(item: PlanItem, subject: Subject, record: Recording, parity_session: RunSession) -> None:
    """Every step of a training that was handed over lies on JAX's own trajectory, in every stage."""
    handover = subject.shared(Handover)
    with subject.ledger.spend(TRAINING):
        if any((other.case, other.test) == (item.case, "resumption") for other in parity_session.plan):
            handover.trajectories.begin_interruption()  # its process works meanwhile
        results, events = handover.trajectories.results(item.variant), handover.events.of(item.variant)
    record.events(events)
    assert_in_order(record(results))


def optimizers(session: RunSession) -> Optimizers:
    """Open the small model that all optimizers share."""
    return Optimizers.open(session.ledger)


@pytest.mark.parity_probe("optimizers")
def test_optimizers(item: PlanItem, record: Recording, parity_session: RunSession) -> None:
    """An optimizer with its schedule updates in TensorFlow as it does in JAX."""
    opened = parity_session.shared(optimizers)
    with parity_session.ledger.spend(FRAMEWORKS):
        results = opened.results(*item.variant.split("-"))
    assert_in_order(record(results, opened.remedy))


@pytest.mark.parity_probe("long_handover")
def test_long_handover(subject: Subject, record: Recording) -> None:
    """From five seeds every step to the end of training stays on JAX's trajectory, and so does the final accuracy."""
    with subject.ledger.spend(TRAINING):
        results, events = long_handover.results(subject.case, subject.ledger)
    record.events(events)
    assert_in_order(record(results))


@pytest.mark.parity_probe("resumption")
def test_resumption(subject: Subject, record: Recording) -> None:
    """Training that is killed and resumed, or exported a second time, arrives at the same bits."""
    with subject.ledger.spend(TRAINING):
        results = subject.shared(Handover).trajectories.resumption()
    assert_in_order(record(results))
