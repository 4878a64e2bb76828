"""Training that goes on in TensorFlow as if it had not been handed over."""

import pytest

from parity.records import PlanItem
from parity.session.examination import Examination


def test_trajectory(examination: Examination, question: PlanItem) -> None:
    """Every step of a training that was handed over lies on JAX's own course, on every rung."""
    examination.check_trajectory(question)


def test_optimizers(examination: Examination, question: PlanItem) -> None:
    """An optimizer with its schedule updates in TensorFlow as it does in JAX."""
    examination.check_optimizer(question)


@pytest.mark.long
def test_endurance(examination: Examination, question: PlanItem) -> None:
    """The whole of it, from five seeds: every step to the end of training, and the accuracy that it ends with."""
    examination.check_endurance(question)


def test_resumption(examination: Examination, question: PlanItem) -> None:
    """Training that is killed and resumed, or exported a second time, arrives at the same bits."""
    examination.check_resumption(question)
