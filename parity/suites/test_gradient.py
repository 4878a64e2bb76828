"""Gradients with respect to every parameter."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_eval_gradient(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_train_gradient(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
