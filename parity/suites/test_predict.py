"""What is served: predictions, and the accuracy that they have."""

from parity.examination import Examination
from parity.records import Planned


def test_predict(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_accuracy(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
