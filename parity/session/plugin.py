"""The pytest plugin: options, fixtures, the plan of a run, and its record, written as results come.

Acts only where a collected test has the mark `parity_probe`, as those of `parity.suites` do, or where a `--parity-`
option is given.
"""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parity import records
from parity.compat import deprecations
from parity.core import storage
from parity.core.errors import PanelError, ParityError, StorageError, UsageError
from parity.core.ledger import IMPORTING, TimeLedger
from parity.records import Deprecation, PlanItem

CASES, SIZES = ("reference",), "1, 13, 20, 256, and the whole test set"
PROBE = "parity_probe"
"""The mark that connects a test with its probe: by name, or as a `Probe` that is declared beside the test."""
OPTIONAL = ("long", "latency")
"""Marks of probes that are left out unless they are asked for."""
SESSION = pytest.StashKey[Any]()
INTERRUPTED = pytest.StashKey[bool]()
REFUSED = pytest.StashKey[Exception]()
LEDGER = TimeLedger()  # opened as early as pytest allows, so that imports are booked


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suites; `parity run` has them without the prefix."""
    group = parser.getgroup("parity", "parity between JAX and TensorFlow")
    several = {"action": "append", "default": [], "metavar": "NAME"}
    group.addoption("--parity-case", **several, help="a case by name, or path/to/file.py:name (default: reference)")
    group.addoption("--parity-runtime", **several, help="only this runtime; may be given several times")
    group.addoption("--parity-probe", **several, help="only this probe; may be given several times")
    group.addoption(
        "--parity-batch-size", action="append", default=[], metavar="N",
        help=f"only this batch size, or 'test' for the whole test set; may be given several times (default: {SIZES})",
    )  # fmt: skip
    group.addoption("--parity-latency", action="store_true", help="also time every step on every runtime")
    group.addoption("--parity-out", metavar="DIR", help="write run.json and index.html into this folder")
    group.addoption("--parity-cell", metavar="NAME", help="name of this environment in the record (default: tox's)")
    group.addoption("--parity-known-issues", metavar="FILE", help="known issues of your project, beside the package's")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Move an old record aside as soon as --parity-out is known: this run may end before its plan."""
    known = early_config.known_args_namespace
    if known.parity_out and not known.collectonly:
        try:
            records.begin(Path(known.parity_out))
        except ParityError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    """Register marks, and refuse an unusable output folder before any work is done."""
    config.addinivalue_line("markers", f"{PROBE}(probe): the probe of a test, by name or as its declaration")
    config.addinivalue_line("markers", "long: takes minutes, and runs with -m long alone")
    config.addinivalue_line("markers", "latency: times steps, and runs with -m latency or --parity-latency")
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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a wrong option before anything is collected, where options say that the suites are wanted."""
    options = vars(session.config.option)
    if any(options[name] for name in options if name.startswith("parity_")):
        with _captured(session.config):
            try:
                assert _session(session.config).environment
            except ParityError as error:
                _exit(error)


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
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "the suites share compiled programs and one record: run them in one process, without -n."
        )
    if SESSION not in config.stash:
        deprecated: list[Deprecation] = []
        try:
            with LEDGER.spend(IMPORTING):
                from parity.compat import known_issues
                from parity.session.run import RunSession
                from parity.session.selection import select
            issues = config.getoption("--parity-known-issues")
            listed = known_issues.load(Path(issues) if issues else None)
            options = [config.getoption(f"--parity-{name}") for name in ("case", "runtime", "batch-size")]
            with deprecations.collecting(deprecated.append):
                selection = select(options[0] or CASES, options[1], _probes(config), options[2], LEDGER)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except ParityError as error:
            _exit(error)
        out = config.getoption("--parity-out")
        cell = config.getoption("--parity-cell") or os.environ.get("TOX_ENV_NAME") or "local"
        config.stash[SESSION] = RunSession(selection, cell, Path(out) if out else None, LEDGER, listed)
        if issues:
            config.stash[SESSION].run.environment["known_issues"] = issues
        for found in deprecated:
            config.stash[SESSION].record.deprecated(found)
    return config.stash[SESSION]


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
        session = _session(metafunc.config)
        assert session.environment
        probe = _declared(metafunc, mark)
        session.probes.setdefault(probe.name, probe)
        items = session.planner.items(probe)
        parameters = [_parameter(metafunc, probe, item) for item in items]
    except (ParityError, pytest.UsageError, pytest.exit.Exception) as error:
        # Raised when all is collected: here it would be an error of collection, with a traceback and another exit code.
        metafunc.config.stash.setdefault(REFUSED, error)
    metafunc.parametrize("item", parameters, ids=[item.item.partition("[")[2][:-1] for item in items])


def _declared(metafunc: pytest.Metafunc, mark: pytest.Mark) -> Any:
    """Return the probe that a mark names or holds.

    Raises:
        UsageError: there is none.
    """
    from parity.probes import registry
    from parity.probes.declaration import Probe

    given = mark.args[0] if len(mark.args) == 1 else mark.args
    if isinstance(given, Probe):
        registry.add(given)
        return given
    if isinstance(given, str) and given in registry.probes():
        return registry.probes()[given]
    arguments = ", ".join(map(repr, mark.args))
    raise UsageError(
        f"{metafunc.function.__name__} has the mark {PROBE}({arguments}). Expected one of "
        f"{', '.join(registry.probes())}, or a parity.probes.declaration.Probe."
    )


def _parameter(metafunc: pytest.Metafunc, probe: Any, item: PlanItem) -> Any:
    from parity.latency import benchmarking

    marks = [getattr(pytest.mark, probe.mark)] if probe.mark else []
    if "benchmark" in metafunc.fixturenames and not benchmarking.missing(metafunc.config):
        return pytest.param(*benchmarking.parameter(item).values, marks=[*marks, *benchmarking.parameter(item).marks])
    return pytest.param(item, marks=marks)


def _item(item: pytest.Item) -> PlanItem | None:
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("item") if callspec else None
    return found if isinstance(found, PlanItem) else None


def _has_probe(item: pytest.Item) -> bool:
    return item.get_closest_marker(PROBE) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests without a plan item, and those of optional probes; pytest would show them as skipped."""
    _refuse(config)
    ours = [item for item in items if _has_probe(item)]
    if not ours:
        return
    _require_known_probes(config)
    left_out = {item: why for item in ours if (why := _why_left_out(config, item))}
    for item, (name, text) in left_out.items():
        if _item(item):
            _session(config).planner.left_out[name] = text
    idle = [item for item in ours if _item(item) is None or item in left_out]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    cases = {i: q.case for i in ours if i.get_closest_marker("latency") and (q := _item(i)) is not None}
    items.sort(key=lambda item: cases.get(item, ""))  # last, when no process works ahead, and one case after the other
    if len(idle) == len(ours):
        _explain_nothing(config)


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


def _explain_nothing(config: pytest.Config) -> None:
    """Say why no test is left: the options select nothing together."""
    session = _session(config)
    selection = session.selection
    parts = [
        ("runtimes", ", ".join(runtime.name for runtime in selection.runtimes)),
        ("probes", ", ".join(selection.probes) or "all"),
        ("cases", ", ".join(case.name for case in selection.cases.values())),
        *(("left out", text) for text in session.planner.left_out.values()),
    ]
    listed = "; ".join(f"{name}: {text}" for name, text in parts)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"parity: the options select no test ({listed}). Select a runtime that answers the probe.")


def _why_left_out(config: pytest.Config, item: Any) -> tuple[str, str] | None:
    """Return a name and a text for why a test is left out; None if it runs."""
    from parity.latency import benchmarking

    plan_item = _item(item)
    if plan_item is None:
        return None
    probe = _session(config).probe_of(plan_item)
    if probe.mark in OPTIONAL and not _wanted(config, probe.mark, probe.selected_by or probe.name):
        return probe.mark, probe.left_out
    option = benchmarking.skipped_by(config, item)
    return (option, f"tests that {option} skips, left out") if option else None


def _wanted(config: pytest.Config, mark: str, probe: str) -> bool:
    """Return whether an optional probe is asked for, or its mark is in -m: pytest then does as it is told."""
    named = probe in config.getoption("--parity-probe") and mark == "latency"
    latency = mark == "latency" and config.getoption("--parity-latency")
    return named or latency or re.search(rf"\b{mark}\b", config.option.markexpr) is not None


def _where(item: pytest.Function) -> str:
    """Return the id of a test in its module, if it is of the suites; else in its file."""
    name = str(item.module.__name__)
    found = name if name.startswith("parity.suites.") else os.path.relpath(item.path)
    return "::".join([found, *item.nodeid.split("::")[1:]])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record the plan, before the first test runs."""
    planned = {found: item for item in session.items if (found := _item(item)) is not None}
    if not planned or session.config.getoption("collectonly"):
        return
    if any("benchmark" in getattr(item, "fixturenames", ()) for item in planned.values()):
        _require_benchmarks(session.config)
    where = {found.item: _where(item) for found, item in planned.items() if isinstance(item, pytest.Function)}
    try:
        _session(session.config).begin(list(planned), where)
    except ParityError as error:
        _exit(error)
    _remember_interrupts(session.config)


def _require_benchmarks(config: pytest.Config) -> None:
    from parity.latency import benchmarking

    if refused := benchmarking.refused(config):
        raise pytest.UsageError(
            f"{', '.join(refused)}: latency is measured by parity, in a process of each runtime and after rounds to "
            "warm up, with intervals at 99 %, and replayed by pytest-benchmark, which calls nothing. Leave this out, "
            "and run other benchmarks apart; --benchmark-max-time, --benchmark-min-rounds and --benchmark-precision "
            "say how much is measured."
        )
    if benchmarking.missing(config):
        raise pytest.UsageError(
            "latency is measured through pytest-benchmark, which is not installed or is blocked. Install it: pip "
            "install 'parity[test]'; do not give -p no:benchmark; or do not ask for latency."
        )


def _remember_interrupts(config: pytest.Config) -> None:
    """Remember Ctrl-C: a KeyboardInterrupt that meets jax's callback of the garbage collector is lost."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        return

    def interrupt(number: int, frame: Any) -> None:
        config.stash[INTERRUPTED] = True
        signal.default_int_handler(number, frame)

    def restore() -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupt)
    config.add_cleanup(restore)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop before the next test, if an interrupt was lost."""
    if item.config.stash.get(INTERRUPTED, False):
        raise KeyboardInterrupt


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record an item that ended in an error: none may pass through without a check."""
    report: Any = yield
    found = _item(item)
    if found is not None and call.excinfo is not None and report.failed:
        error, session = call.excinfo.value, _session(item.config)
        if isinstance(error, StorageError):
            _exit(error)
        session.record_error(found, error)
        if isinstance(error, ParityError):
            report.longrepr = f"{found.item}: {error}\nrepeat: {session.repeat(found)}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Seal the record, write the report, and fail where something was planned and has no check."""
    ours = session.config.stash.get(SESSION, None)
    if ours is None:
        return
    states: dict[int, str] = {pytest.ExitCode.OK: records.COMPLETE, pytest.ExitCode.TESTS_FAILED: records.COMPLETE}
    states[pytest.ExitCode.INTERRUPTED] = records.INTERRUPTED
    state = records.INTERRUPTED if session.config.stash.get(INTERRUPTED, False) else states.get(exitstatus)
    if state == records.COMPLETE and (session.shouldfail or session.shouldstop):  # -x, --maxfail
        state = records.ABORTED
    try:
        ours.finish(state or records.ABORTED)
    except PanelError as error:  # the record is sealed and the page written: the summary still follows
        ours.report, session.exitstatus = str(error), exitstatus or pytest.ExitCode.INTERNAL_ERROR
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

        terminalreporter.section("parity")
        for line in terminal.summary(session.run, terminalreporter._tw.fullwidth, session.report):
            terminalreporter.write_line(line)


@pytest.fixture
def parity_session(request: pytest.FixtureRequest) -> Any:
    """Return the run in progress, an object of `parity.session.run.RunSession`."""
    return _session(request.config)


@pytest.fixture
def subject(request: pytest.FixtureRequest, parity_session: Any, item: PlanItem) -> Any:
    """Return the case under test, trained and exported: a `parity.runtimes.subject.Subject`."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # its progress bar is shown
        parity_session.prepare(item)
    return parity_session.subject(item.case)


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
