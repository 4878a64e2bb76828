"""Planted defects that the run itself must see: if it does not, nothing else that it says can be trusted."""

from parity.records import Planned
from parity.session.examination import Examination


def test_canaries(examination: Examination, question: Planned) -> None:
    """The harness sees the defect."""
    examination.check_canary(question)
