"""Gradients with respect to every parameter."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place, score
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("eval_gradient")
def test_eval_gradient(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The gradient of the evaluation loss lies within budget, for every parameter."""
    checks = record(score(subject, "eval_gradient", runtime, batch.size))
    assert_in_order(checks)


@pytest.mark.parity_probe("train_gradient")
def test_train_gradient(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The gradient of the training loss lies within budget, for every parameter and both calls."""
    checks = record(score(subject, "train_gradient", runtime, batch.size))
    assert_in_order(checks)
