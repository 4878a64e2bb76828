"""Seeded defects: if the run does not find them, its verdict on everything else means nothing."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place
from parity.probes.seeded_defects import defects, result
from parity.records import PlanItem
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("seeded_defects")
def test_seeded_defects(item: PlanItem, subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The run's own checks find the defect."""
    found = result(defects()[item.variant], subject, runtime, batch.size)
    assert_in_order(record([found]))
