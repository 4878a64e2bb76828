"""Relations that need no reference: what a runtime's answers must be to each other."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place
from parity.probes.relations import relations
from parity.records import PlanItem
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("relations")
def test_relations(item: PlanItem, subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The relation holds: within budget, or to the bit where it is the same computation again."""
    relation = relations()[item.variant]
    checks = record(relation.results(subject, runtime, batch.size))
    assert_in_order(checks)
