"""Single operations that are known to be trouble: which of them this pair can run, by default or with a remedy."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_operations(examination: Examination, question: PlanItem) -> None:
    """TensorFlow runs the operation, and its answer lies within budget."""
    examination.check_operation(question)
