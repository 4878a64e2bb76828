"""How long each step takes on every runtime, and what a runtime costs beside; pytest-benchmark is the interface."""

from typing import Any

import pytest

from parity.latency import benchmarking
from parity.records import PlanItem
from parity.session.examination import Examination


@pytest.mark.latency
def test_latency(examination: Examination, question: PlanItem, benchmark: Any, request: pytest.FixtureRequest) -> None:
    """The step that was timed is JAX's, and it was timed often enough."""
    benchmarking.replay(request, lambda: examination.latencies.time(question))
    examination.conclude(question, examination.latencies.results(question), question.batch_size)


@pytest.mark.latency
def test_footprint(examination: Examination, question: PlanItem) -> None:
    """What the runtime costs beside its steps was measured: time to begin, memory, threads, its artifact."""
    examination.conclude(question, examination.latencies.footprint(question), question.batch_size)
