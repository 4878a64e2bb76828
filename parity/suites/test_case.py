"""What is checked once for each case: its training, its artifact, and training that goes on."""

import pytest

from parity.core.ledger import FRAMEWORKS, TRAINING
from parity.handover.finetuning import finetuned
from parity.handover.setup import methods
from parity.probes import artifact, finetuning, training
from parity.probes.trajectory import Handover
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("training")
def test_training(subject: Subject, record: Recording) -> None:
    """Training in JAX moved the state and lowered the evaluation loss: an untrained model proves nothing."""
    checks = record(training.results(subject.trained))
    assert_in_order(checks)


@pytest.mark.parity_probe("artifact")
def test_artifact(subject: Subject, record: Recording) -> None:
    """Weights are variables, a server finds something to call, and both exports predict the same."""
    with subject.ledger.spend(FRAMEWORKS):
        results = artifact.results(subject)
    assert_in_order(record(results))


@pytest.mark.parity_probe("finetuning")
def test_finetuning(subject: Subject, record: Recording) -> None:
    """The reloaded artifact trains on in TensorFlow: from the same loss, on the same schedule."""
    after = finetuned(subject)
    record.events(finetuning.curves(subject, after))
    if methods(subject.case):
        with subject.ledger.spend(TRAINING):
            record.events(subject.shared(Handover).events.restarted())
    assert_in_order(record(finetuning.results(subject, after)))
