"""The loss, evaluated and trained."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_eval_loss(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_train_loss(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
