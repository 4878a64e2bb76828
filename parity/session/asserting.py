"""What tests of the suites use: record results as checks, and fail with what is out of order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from parity.records import IN_ORDER, Check, PlanItem, Remedy

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
    bad = [check for check in checks if check.status not in IN_ORDER]
    if bad or not checks:
        pytest.fail(failure(checks), pytrace=False)


def failure(checks: Sequence[Check]) -> str:
    """Return why a test failed: by leaf the score, the worst element, who moved; and how to repeat it."""
    if not checks:
        return "no leaf was compared, so nothing was checked."
    bad, first = [check for check in checks if check.status not in IN_ORDER], checks[0]
    lines = [
        f"{first.probe} of {first.case} on {first.runtime} at batch size {first.batch_size}",
        f"JAX on {first.jax_device}, TensorFlow on {first.tf_device}: {len(bad)} of {len(checks)} checks not in order",
    ]
    for check in bad:
        lines += ["", f"  {check.leaf}: {check.message or check.status}"]
        if check.score is not None:
            own = "" if check.jax_score is None else f"; JAX's own {_digits(check.jax_score)}"
            lines.append(f"    score {_digits(check.score)}, limit {_digits(check.limit)}{own}")
        if check.worst is not None:
            worst = check.worst
            lines.append(f"    worst element {worst.index}: {check.runtime} has {worst.value:.9g},")
            both = f"JAX {worst.jax:.9g}, the oracle {worst.oracle:.9g}"
            lines.append(f"    {f'expected {worst.oracle:.9g}' if check.jax_score is None else both}")
    return "\n".join([*lines, "", f"repeat: {first.repeat}"])


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
