"""Planted defects that the run itself must see: if it does not, nothing else that it says can be trusted."""

from parity.examination import Examination
from parity.records import Planned


def test_canaries(examination: Examination, question: Planned) -> None:
    """The harness sees the defect."""
    examination.check_canary(question)
