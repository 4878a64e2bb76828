"""Relations that need no reference: what a runtime's answers must be to each other."""

from parity.examination import Examination
from parity.records import Planned


def test_relations(examination: Examination, question: Planned) -> None:
    """The relation holds: within budget, or to the bit where it is the same computation again."""
    examination.check_relation(question)
