"""Whether the probes could fail: a check that cannot is a defect."""

import pytest

from parity.cases.specs import Batch
from parity.probes import power
from parity.records import PlanItem
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("power")
def test_power(item: PlanItem, subject: Subject, batch: Batch, record: Recording) -> None:
    """The probe would catch a small error in at least one weight tensor; otherwise it is powerless."""
    powers = subject.shared(power.PowerStudy).of(item.probe, batch.size)
    record.events(powers)
    assert_in_order(record([power.result(item.probe, powers, subject.dtypes)]))
