"""Single operations that are known to be trouble: which of them this pair can run, by default or with a remedy."""

from parity.examination import Examination
from parity.records import Planned


def test_operations(examination: Examination, question: Planned) -> None:
    """TensorFlow runs the operation, and its answer lies within budget."""
    examination.check_operation(question)
