"""Gradients with respect to every parameter."""

from parity.examination import Examination
from parity.records import Planned


def test_eval_gradient(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_train_gradient(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
