"""Planted defects that the run itself must see: if it does not, nothing else that it says can be trusted."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_canaries(examination: Examination, question: PlanItem) -> None:
    """The subject sees the defect."""
    examination.check_canary(question)
