"""A latency worker that hangs costs the checks of its runtime, and says where it was."""

import pytest

from parity.core import failures, silence
from parity.core.errors import RuntimeFailureError
from parity.latency import TimedRuntime
from parity.latency.process import Worker
from parity.records import PASS, TIMEOUT
from parity.session.recording import RunRecord
from parity.tests.support import samples


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """A worker that sleeps while it imports what its runtime needs."""
    monkeypatch.setenv(silence.VARIABLE, "1")
    found = Worker(TimedRuntime("planted", False, "parity.tests.support.asleep:open", False, True), tmp_path, "cpu:0")
    yield found
    found.close()


def test_a_worker_that_hangs_is_a_timeout_of_its_items_alone_with_the_function(worker):
    record = RunRecord(samples.run(plan=[samples.planned(item=name) for name in "abc"]), ())
    for name in "ab":
        with pytest.raises(RuntimeFailureError) as caught:
            worker.prepare("predict", 13)
        record.error(record.run.plan["abc".index(name)], caught.value, None, "", None)
    record.add(samples.check(item="c"))
    assert [(check.item, check.status) for check in record.run.all_checks()] == [
        ("a", TIMEOUT), ("b", TIMEOUT), ("c", PASS),
    ]  # fmt: skip
    for check in record.run.checks[:2]:
        assert check.failure == failures.TIMEOUT
        assert "no progress for 1 s in asleep (asleep.py:7)" in check.evidence
