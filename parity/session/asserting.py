"""What tests of the suites use: record results as checks, and fail with what is out of order."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from parity.core import processes
from parity.core.errors import UsageError
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


def run_apart(case: Any, options: Mapping[str, Any], root: Path) -> None:
    """Run `parity run` in a process of its own, and fail the test with what it shows where it is not in order.

    Args:
        case: a `Case` that a module has, or what `--case` takes; a relative file is from `root`.
        options: of `parity run`, by name; a list gives an option several times, True one without a value.
        root: the folder to run it in.

    Raises:
        UsageError: no module has the case.
    """
    command = [sys.executable, "-m", "parity", "run", f"--case={case if isinstance(case, str) else where(case)}"]
    for name, value in options.items():
        given = value if isinstance(value, (list, tuple)) else [] if value is None or value is False else [value]
        flag = f"--{name.replace('_', '-')}"
        command += [flag if one is True else f"{flag}={one}" for one in given]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE_"))}
    done = processes.run(command, cwd=root, env=variables)
    if done.returncode:
        pytest.fail("\n".join(filter(None, (done.stdout.strip(), done.stderr.strip()))), pytrace=False)


def where(case: Any) -> str:
    """Return how options name a case that a loaded module has, such as `model.py:case`.

    Raises:
        UsageError: no module has it.
    """
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        names = [name for name, value in vars(module).items() if value is case] if file else []
        if names:
            return f"{file}:{names[0]}"
    raise UsageError(
        f"the case {getattr(case, 'name', case)!r} is in no module. Expected one that is assigned at the top of a "
        "file, or its name as in path/to/file.py:name."
    )
