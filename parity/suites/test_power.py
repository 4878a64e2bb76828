"""Whether the probes could fail: a check that cannot is a defect."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_power(examination: Examination, question: PlanItem) -> None:
    """The probe would catch a small error in at least one weight tensor; otherwise it is powerless."""
    examination.check_power(question)
