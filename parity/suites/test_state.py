"""What training carries from one step to the next: statistics and the random key."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_batch_stats(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_rng(examination: Examination, question: PlanItem) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
