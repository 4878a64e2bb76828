"""Training that goes on in TensorFlow as if it had not been handed over."""

from parity.examination import Examination
from parity.records import Planned


def test_trajectory(examination: Examination, question: Planned) -> None:
    """Every step of a training that was handed over lies on JAX's own course, on every rung."""
    examination.check_trajectory(question)


def test_optimizers(examination: Examination, question: Planned) -> None:
    """An optimizer with its schedule updates in TensorFlow as it does in JAX."""
    examination.check_optimizer(question)


def test_resumption(examination: Examination, question: Planned) -> None:
    """Training that is killed and resumed, or exported a second time, arrives at the same bits."""
    examination.check_resumption(question)
