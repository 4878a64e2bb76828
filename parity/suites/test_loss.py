"""The loss, evaluated and trained."""

from parity.examination import Examination
from parity.records import Planned


def test_eval_loss(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_train_loss(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
