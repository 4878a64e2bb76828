"""How long each step takes on every runtime, and what a runtime costs beside; pytest-benchmark is the interface."""

from typing import Any

import pytest

from parity.latency import benchmarking
from parity.latency.asking import Latencies
from parity.records import PlanItem
from parity.session.asserting import Recording, assert_in_order
from parity.session.run import RunSession
from parity.session.timing import latencies


@pytest.fixture
def measured(parity_session: RunSession, item: PlanItem, request: pytest.FixtureRequest) -> Latencies:
    """Return what is measured, for all items of a run."""
    parity_session.prepare(item)
    return parity_session.shared(latencies(benchmarking.effort(request.config)))


@pytest.mark.parity_probe("latency")
def test_latency(
    item: PlanItem, measured: Latencies, benchmark: Any, record: Recording, request: pytest.FixtureRequest
) -> None:
    """The timed step is JAX's, and it was timed often enough."""
    benchmarking.replay(request, lambda: measured.time(item))
    assert_in_order(record(measured.results(item)))


@pytest.mark.parity_probe("footprint")
def test_footprint(item: PlanItem, measured: Latencies, record: Recording) -> None:
    """What the runtime costs beside its steps was measured: time to begin, memory, threads, its artifact."""
    assert_in_order(record(measured.footprint(item)))
