"""What training carries from one step to the next: statistics and the random key."""

from parity.examination import Examination
from parity.records import Planned


def test_batch_stats(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)


def test_rng(examination: Examination, question: Planned) -> None:
    """The runtime's answer lies within budget."""
    examination.check(question)
