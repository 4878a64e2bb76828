"""What is served: predictions, and the accuracy that they have."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_predict(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_accuracy(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
