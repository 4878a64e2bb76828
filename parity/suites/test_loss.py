"""The loss, evaluated and trained."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place, score
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("eval_loss")
def test_eval_loss(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The loss with running statistics lies within budget."""
    checks = record(score(subject, "eval_loss", runtime, batch.size))
    assert_in_order(checks)


@pytest.mark.parity_probe("train_loss")
def test_train_loss(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The loss of training lies within budget, in the first call and in the second, which starts from its state."""
    checks = record(score(subject, "train_loss", runtime, batch.size))
    assert_in_order(checks)
