"""What is checked once per case, beside the probes."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_training(examination: Examination, question: PlanItem) -> None:
    """Training in JAX moved the state and lowered the evaluation loss: an untrained model proves nothing."""
    examination.check_case(question)


def test_artifact(examination: Examination, question: PlanItem) -> None:
    """Weights are variables, a server finds something to call, and both exports predict the same."""
    examination.check_case(question)


def test_finetuning(examination: Examination, question: PlanItem) -> None:
    """The reloaded artifact trains on in TensorFlow: from the same loss, on the same schedule."""
    examination.check_case(question)
