"""What is served: predictions, and the accuracy that they have."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place, score
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("predict")
def test_predict(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """Every output lies within the rounding budget of the float64 oracle."""
    checks = record(score(subject, "predict", runtime, batch.size))
    assert_in_order(checks)


@pytest.mark.parity_probe("accuracy")
def test_accuracy(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The share of right examples is the oracle's, but for examples that are too close to call."""
    checks = record(score(subject, "accuracy", runtime, batch.size))
    assert_in_order(checks)
