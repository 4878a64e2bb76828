"""What a model keeps: its variables after loading, and what training carries to the next step."""

import pytest

from parity.cases.specs import Batch
from parity.core.ledger import FRAMEWORKS
from parity.probes import state
from parity.probes.evaluation import Place, score
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("state")
def test_state(subject: Subject, runtime: Place, record: Recording) -> None:
    """Every variable of the loaded model is JAX's own, to the bit."""
    with subject.ledger.spend(FRAMEWORKS):
        results = state.results(subject, runtime.runtime)
    assert_in_order(record(results))


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
