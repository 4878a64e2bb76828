"""The hooks and fixtures of the suites: the plan of a run, and its record, written as results come.

`parity.session.plugin` registers them where they are needed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parity import records
from parity.compat import deprecations
from parity.core import memory, storage
from parity.core.errors import ParityError, StorageError, UsageError
from parity.core.ledger import IMPORTING
from parity.core.text import plural
from parity.records import Deprecation, PlanItem
from parity.records.levels import highest
from parity.session import interrupts, watchdog, watching
from parity.session.collecting import (
    declared,
    explain_nothing,
    has_probe,
    level,
    level_by_marks,
    named_marks,
    parameter,
    plan_item,
    require_benchmarks,
    where,
    why_left_out,
)
from parity.session.plugin import LEDGER, PROBE

CASES = ("reference",)
SESSION = pytest.StashKey[Any]()
REFUSED = pytest.StashKey[Exception]()
BEFORE = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Register marks, and refuse an unusable output folder before any work is done."""
    for name in records.LEVELS:
        config.addinivalue_line("markers", f"{name}: the lowest level that has the test, see --parity-level")
    config.addinivalue_line("markers", "long: takes minutes, and runs with -m long alone")
    config.addinivalue_line("markers", "latency: times steps; all of them run with -m latency or --parity-latency")
    out = config.getoption("--parity-out")
    try:
        if out:
            storage.output_folder(Path(out))
    except ParityError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(_Warnings(config))


class _Warnings:
    """Records deprecation warnings where pytest has caught them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Record a deprecation."""
        session = self._config.stash.get(SESSION, None)
        found = deprecations.of_warning(warning_message)
        if session is not None and found is not None:
            session.record.deprecated(found)


def begin(config: pytest.Config, wanted: bool) -> None:
    """Begin; where options say that the suites are `wanted`, refuse a wrong one before anything is collected."""
    watching.begin(config, wanted)
    if wanted:
        with _captured(config):
            _ready(config)


@contextmanager
def _captured(config: pytest.Config) -> Iterator[None]:
    """Capture what the frameworks log when they are imported, as pytest does while it collects."""
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.resume_global_capture()
    try:
        yield
    finally:
        capture.suspend_global_capture()
        capture.read_global_capture()


def _session(config: pytest.Config) -> Any:
    """Return the run in progress, begun when it is first needed."""
    if SESSION not in config.stash:
        deprecated: list[Deprecation] = []
        out = Path(config.getoption("--parity-out")) if config.getoption("--parity-out") else None
        cell = config.getoption("--parity-cell") or os.environ.get("TOX_ENV_NAME") or "local"
        try:
            watchdog.watch(config, out, cell)
            with LEDGER.spend(IMPORTING):
                from parity.compat import known_issues
                from parity.session.run import RunSession
                from parity.session.selection import select
            issues = config.getoption("--parity-known-issues")
            listed = known_issues.load(Path(issues) if issues else None)
            options = [config.getoption(f"--parity-{name}") for name in ("case", "runtime", "batch-size")]
            with deprecations.collecting(deprecated.append):
                selection = select(
                    options[0] or CASES,
                    options[1],
                    _probes(config),
                    options[2],
                    LEDGER,
                    level(config),
                    named_marks(config),
                    config.getoption("--parity-artifact"),
                )
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except ParityError as error:
            _exit(error)
        progress = watching.step(config)
        config.stash[SESSION] = RunSession(selection, cell, out, LEDGER, listed, progress=progress)
        if issues:
            config.stash[SESSION].run.environment["known_issues"] = issues
        for found in deprecated:
            config.stash[SESSION].record.deprecated(found)
    return config.stash[SESSION]


def _ready(config: pytest.Config) -> Any:
    """Return the run in progress, with both frameworks imported and its cases checked."""
    session = _session(config)
    try:
        _ = session.environment  # first: a dataset may start TensorFlow, which then takes no devices any more
        if not config.getoption("--parity-cell"):  # in a cell, a release may have broken one of its cases
            session.require_usable()
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    except ParityError as error:
        _exit(error)
    return session


def _probes(config: pytest.Config) -> tuple[str, ...]:
    """Return the probes that were given; --parity-latency adds to them."""
    given = tuple(config.getoption("--parity-probe"))
    return (*given, "latency") if given and config.getoption("--parity-latency") else given


def _exit(error: ParityError) -> NoReturn:
    """End pytest with the message of an error, and no traceback."""
    codes = {2: pytest.ExitCode.USAGE_ERROR, 3: pytest.ExitCode.NO_TESTS_COLLECTED}
    pytest.exit(f"parity: {error}", returncode=codes.get(error.exit_code, error.exit_code))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with a probe one item for every plan item of that probe."""
    mark = metafunc.definition.get_closest_marker(PROBE)
    if mark is None:
        return
    parameters = []
    items: list[PlanItem] = []
    try:
        session = _ready(metafunc.config)
        probe = declared(metafunc.function.__name__, mark)
        session.probes.setdefault(probe.name, probe)
        items = session.planner.items(probe)
        parameters = [parameter(metafunc, probe, item) for item in items]
    except (ParityError, pytest.UsageError, pytest.exit.Exception) as error:
        # Raised when all is collected: here it would be an error of collection, with a traceback and another exit code.
        metafunc.config.stash.setdefault(REFUSED, error)
    metafunc.parametrize("item", parameters, ids=[item.item.partition("[")[2][:-1] for item in items])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests without a plan item, and those of optional probes; pytest would show them as skipped."""
    _refuse(config)
    ours = [item for item in items if has_probe(item)]
    if not ours:
        return
    _require_known_probes(config)
    left_out = {item: why for item in ours if (why := why_left_out(_session(config), item))}
    for item, (name, text) in left_out.items():
        if plan_item(item):
            _session(config).planner.left_out[name] = text
    idle = [item for item in ours if plan_item(item) is None or item in left_out]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    items.sort(key=lambda item: _turn(config, item))
    if len(idle) == len(ours):
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(explain_nothing(_session(config)))


def _turn(config: pytest.Config, item: pytest.Item) -> tuple[int, str]:
    """Return what tests are sorted by: those that do not come first, see `RunSession.turn`, by case."""
    found = plan_item(item)
    turn = _session(config).turn(found) if found is not None else 0
    return turn, found.case if found is not None and turn else ""


def _refuse(config: pytest.Config) -> None:
    """Raise the first error of planning, if there is one."""
    error = config.stash.get(REFUSED, None)
    if isinstance(error, UsageError):
        raise pytest.UsageError(str(error))
    if isinstance(error, ParityError):
        _exit(error)
    if error is not None:
        raise error


def _require_known_probes(config: pytest.Config) -> None:
    from parity.session.planning import require_known

    session = _session(config)
    try:
        require_known(session.selection.probes, session.probes)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record the plan, before the first test runs."""
    planned = {found: item for item in session.items if (found := plan_item(item)) is not None}
    if not planned or session.config.getoption("collectonly"):
        return
    if any("benchmark" in getattr(item, "fixturenames", ()) for item in planned.values()):
        require_benchmarks(session.config)
    try:
        chosen = highest(*(item.level for item in planned)) if level_by_marks(session.config) else None
        _session(session.config).begin(list(planned), chosen)
        watching.plan(session.config, planned)
    except ParityError as error:
        _exit(error)
    interrupts.remember(session.config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop before the next test, if an interrupt was lost; remember how many checks there are before it."""
    if interrupts.seen(item.config):
        raise KeyboardInterrupt
    if plan_item(item) is not None:
        item.stash[BEFORE] = len(_session(item.config).run.checks)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Note which test runs; of a case that an earlier one has shown to be unusable, record the error in its place."""
    found = plan_item(item)
    if found is not None and isinstance(item, pytest.Function):
        _session(item.config).begin_test(found, where(item))
    if found is None or "subject" not in getattr(item, "fixturenames", ()):
        return None
    session = _session(item.config)
    error = session.record_if_unusable(found)
    if error is None:
        return None
    session.causes.add(error, item.name, session.repeat(found), _verbose(item.config))
    return True


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Give back what the test has freed."""
    if plan_item(item) is not None:
        memory.give_back()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record an item that ended in an error, or without a check: none may pass through without one."""
    report: Any = yield
    found = plan_item(item)
    before = item.stash.get(BEFORE, 0)
    if found is not None and report.skipped:
        why = "is expected to fail (xfail)" if hasattr(report, "wasxfail") else "was skipped"
        _session(item.config).record_if_unchecked(found, f"its test {why}: {_reason(report)}", before)
    elif found is not None and call.when == "call" and report.passed:
        why = "its test ended and recorded no check. Call record(results) in it, as record(score(...))."
        if _session(item.config).record_if_unchecked(found, why, before):
            report.outcome, report.longrepr = "failed", f"{item.name}: {why}"
    if found is not None and call.excinfo is not None and report.failed:
        error, session = call.excinfo.value, _session(item.config)
        if isinstance(error, StorageError):
            _exit(error)
        session.record_error(found, error)
        if call.when == "call" and session.record.in_order(found.item):  # a known issue
            report.outcome, report.longrepr = "passed", None
        elif isinstance(error, ParityError) or (isinstance(error, Exception) and _is_shipped(item)):
            verbose = _verbose(item.config)
            report.longrepr, report.shown_before = session.causes.add(error, item.name, session.repeat(found), verbose)
    return report


def _verbose(config: pytest.Config) -> bool:
    return bool(config.getoption("verbose") > 0)


def _is_shipped(item: pytest.Item) -> bool:
    """Return whether a test is of this package: a stack through it tells a user nothing, and is in the log."""
    return isinstance(item, pytest.Function) and item.module.__name__.startswith("parity.suites")


def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """Count a failure that an earlier item has shown, and do not show it again."""
    return ("failed alike", "F", "FAILED") if getattr(report, "shown_before", False) else None


def _reason(report: Any) -> str:
    """Return why a test was skipped, or is expected to fail."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
    return str(text).removeprefix("Skipped: ").removeprefix("reason: ") or "no reason given"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Seal the record, write the report, and fail where something was planned and has no check."""
    ours = session.config.stash.get(SESSION, None)
    if ours is None:
        return
    states: dict[int, str] = {pytest.ExitCode.OK: records.COMPLETE, pytest.ExitCode.TESTS_FAILED: records.COMPLETE}
    states[pytest.ExitCode.INTERRUPTED] = records.INTERRUPTED
    state = records.INTERRUPTED if interrupts.seen(session.config) else states.get(exitstatus)
    if state == records.COMPLETE and (session.shouldfail or session.shouldstop):  # -x, --maxfail
        state = records.ABORTED
    try:
        ours.finish(state or records.ABORTED)
    except ParityError as error:
        _exit(error)
    if exitstatus == pytest.ExitCode.OK and ours.plan and not ours.run.in_order():
        compared = ours.run.compared()
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if compared else pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the verdict, the scores, where the time went, and where the report is."""
    session = config.stash.get(SESSION, None)
    if session is not None and session.plan:
        from parity.report import terminal

        shown = terminal.summary if config.getoption("verbose") > 0 or not session.run.in_order() else terminal.brief
        terminalreporter.section("parity")
        for line in shown(session.run, terminalreporter._tw.fullwidth, session.report):
            terminalreporter.write_line(line)
    elif session is not None and config.getoption("verbose") < -1:  # pytest does not count then
        deselected = len(terminalreporter.stats.get("deselected", ()))
        terminalreporter.write_line(
            f"No test was run, and {plural(deselected, 'test')} deselected: see --probe, -k, -m."
        )


@pytest.fixture
def parity_session(request: pytest.FixtureRequest) -> Any:
    """Return the run in progress, an object of `parity.session.run.RunSession`."""
    return _session(request.config)


@pytest.fixture
def subject(parity_session: Any, item: PlanItem) -> Any:
    """Return the case under test, trained and exported: a `parity.runtimes.subject.Subject`."""
    from parity.cases import symbols

    parity_session.prepare(item)
    return parity_session.subject(item.case).at(symbols.read(item.variant))


@pytest.fixture
def runtime(item: PlanItem) -> Any:
    """Return the runtime that the item is about, with the devices of both sides: a `parity.probes.evaluation.Place`."""
    from parity.probes.evaluation import Place

    return Place(item.runtime, item.jax_device, item.tf_device)


@pytest.fixture
def batch(subject: Any, item: PlanItem) -> Any:
    """Return the examples that the item is about: a `parity.cases.specs.Batch`."""
    return subject.batch(item.batch_size)


@pytest.fixture
def record(parity_session: Any, item: PlanItem) -> Any:
    """Record leaf results as checks and return these: `record(results)`; also `record.events(events)`."""
    from parity.session.asserting import Recording

    return Recording(parity_session, item)
