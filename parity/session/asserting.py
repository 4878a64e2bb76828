"""What tests of the suites use: record results as checks, and fail with what is out of order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from parity.records import IN_ORDER, Check, PlanItem, Remedy
from parity.report import terminal

if TYPE_CHECKING:
    from parity.scoring.rules import LeafResult
    from parity.session.run import RunSession


class Recording:
    """Records the checks and events of one plan item."""

    def __init__(self, session: RunSession, item: PlanItem) -> None:
        self._session, self._item = session, item

    def __call__(self, results: Iterable[LeafResult], remedy: Remedy | None = None) -> list[Check]:
        """Record a check for each result; return them with their final status.

        Args:
            results: one for each leaf.
            remedy: of a probe about the pair of releases; the subject's own otherwise.
        """
        return self._session.record_results(self._item, list(results), remedy)

    def events(self, events: Iterable[Any]) -> None:
        """Record what is no check: curves, powers, timings, costs."""
        for event in events:
            self._session.record.add(event)


def call_test(test: Callable[..., None], session: RunSession, item: PlanItem) -> None:
    """Call a test of the suites for a plan item, outside of pytest, with the values of its fixtures.

    Raises: what the test raises; `pytest.fail.Exception` where a check is not in order.
    """
    from parity.probes.evaluation import Place

    values: dict[str, Callable[[], Any]] = {
        "item": lambda: item,
        "subject": lambda: session.subject(item.case),
        "runtime": lambda: Place(item.runtime, item.jax_device, item.tf_device),
        "batch": lambda: session.subject(item.case).batch(item.batch_size),
        "record": lambda: Recording(session, item),
        "parity_session": lambda: session,
    }
    test(**{name: values[name]() for name in inspect.signature(test).parameters})


def assert_in_order(checks: Sequence[Check]) -> None:
    """Fail the test if a check is not in order, or if there is none; say what is off, by how much, and who moved."""
    if not checks:
        pytest.fail("no leaf was compared, so nothing was checked.", pytrace=False)
    bad = [check for check in checks if check.status not in IN_ORDER]
    if bad:
        pytest.fail(terminal.failure(bad, len(checks)), pytrace=False)
