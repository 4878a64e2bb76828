"""Single operations that are known to be trouble: which of them this pair can run, by default or with a remedy."""

import pytest

from parity.probes import operations
from parity.records import PlanItem
from parity.session.asserting import Recording, assert_in_order
from parity.session.run import RunSession


@pytest.mark.parity_probe("operations")
def test_operations(item: PlanItem, record: Recording, parity_session: RunSession) -> None:
    """TensorFlow runs the operation, and its answer lies within budget."""
    release = parity_session.run.environment["versions"]["tensorflow"]
    assert_in_order(record([operations.result(item.variant, release)]))
