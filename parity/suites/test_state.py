"""What training carries from one step to the next: statistics and the random key."""

import pytest

from parity.cases.specs import Batch
from parity.probes.evaluation import Place, score
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("batch_stats")
def test_batch_stats(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The updated statistics lie within budget, after both calls."""
    checks = record(score(subject, "batch_stats", runtime, batch.size))
    assert_in_order(checks)


@pytest.mark.parity_probe("rng")
def test_rng(subject: Subject, runtime: Place, batch: Batch, record: Recording) -> None:
    """The random key that is left equals JAX's to the bit, after both calls."""
    checks = record(score(subject, "rng", runtime, batch.size))
    assert_in_order(checks)
