"""Relations that need no reference: what a runtime's answers must be to each other."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_relations(examination: Examination, question: PlanItem) -> None:
    """The relation holds: within budget, or to the bit where it is the same computation again."""
    examination.check_relation(question)
