"""The pytest plugin: options, the plan of a run, and its record, written as results come.

Inert unless a test asks for the fixtures `examination` and `question` both, as the tests of `parity.suites` do.
"""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parity import records
from parity.compat import deprecations
from parity.core import storage
from parity.core.errors import ParityError, StorageError, UsageError
from parity.core.ledger import IMPORTING, Ledger
from parity.records import Deprecation, PlanItem

CASES, SIZES = ("reference",), "1, 13, 20, 256, and the whole test set"
LONG, LATENCY = "long", "latency"
LEFT_OUT = {
    LONG: "the whole hand-over, to the end of training from five seeds, left out; ask for it with -m long",
    LATENCY: "latency and footprint of each runtime left out; ask for them with --latency (in pytest --parity-latency, "
    "alone: -m latency)",
}
"""What is asked where it is wanted, by its marker, and what is said where it is not."""
EXAMINATION = pytest.StashKey[Any]()
INTERRUPTED = pytest.StashKey[bool]()
LEDGER = Ledger()  # opened as early as pytest lets us, so that imports are on it


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite; `parity run` has them without the prefix."""
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
    """Refuse an unusable output folder before any work is done."""
    config.addinivalue_line("markers", f"{LONG}: takes minutes, and is asked by -m {LONG} alone")
    config.addinivalue_line("markers", f"{LATENCY}: times steps, and is asked by -m {LATENCY} or --parity-{LATENCY}")
    out = config.getoption("--parity-out")
    try:
        if out:
            storage.output_folder(Path(out))
    except ParityError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(Warned(config))


class Warned:
    """Records what a framework says will go, where pytest has caught the warning."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Record a deprecation."""
        examination, found = self._config.stash.get(EXAMINATION, None), deprecations.of_warning(warning_message)
        if examination is not None and found is not None:
            examination.deprecated(found)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where options say that the suite is wanted, refuse a wrong one before anything is collected."""
    options = vars(session.config.option)
    if any(options[name] for name in options if name.startswith("parity_")):
        with _captured(session.config):
            _import(session.config)


def _import(config: pytest.Config) -> None:
    try:
        _examination(config).import_frameworks()
    except ParityError as error:
        _give_up(error)


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask every question that the options select."""
    if not _asks(metafunc.fixturenames):
        return
    questions = _examination(metafunc.config).asked.of(metafunc.function.__name__)
    ids = [q.item.partition("[")[2][:-1] for q in questions]
    metafunc.parametrize("question", [_parameter(metafunc, q) for q in questions], ids=ids)


def _parameter(metafunc: pytest.Metafunc, question: PlanItem) -> Any:
    from parity.latency import benchmarking

    timed = "benchmark" in metafunc.fixturenames and not benchmarking.missing(metafunc.config)
    return benchmarking.parameter(question) if timed else question


def _examination(config: pytest.Config) -> Any:
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("the suite shares compiled programs and one record: run it in one process, without -n.")
    if EXAMINATION not in config.stash:
        with LEDGER.spend(IMPORTING):
            from parity.session.examination import Examination
            from parity.session.selection import Selection

        heard: list[Deprecation] = []

        def several(name: str) -> tuple[str, ...]:
            return tuple(config.getoption(name))

        try:
            with deprecations.listening(heard.append):
                selection = Selection.of(
                    several("--parity-case") or CASES, several("--parity-runtime"), _probes(config),
                    several("--parity-batch-size"), LEDGER,
                )  # fmt: skip
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except ParityError as error:
            _give_up(error)
        out = config.getoption("--parity-out")
        cell = config.getoption("--parity-cell") or os.environ.get("TOX_ENV_NAME") or "local"
        from parity.latency import benchmarking

        effort = benchmarking.effort(config)
        config.stash[EXAMINATION] = Examination(selection, cell, Path(out) if out else None, LEDGER, effort)
        for found in heard:
            config.stash[EXAMINATION].deprecated(found)
    return config.stash[EXAMINATION]


def _probes(config: pytest.Config) -> tuple[str, ...]:
    """Those that were given; --parity-latency adds to them."""
    given = tuple(config.getoption("--parity-probe"))
    return (*given, LATENCY) if given and config.getoption("--parity-latency") else given


def _give_up(error: ParityError) -> NoReturn:
    """End pytest with the words of an error, and no traceback."""
    codes = {2: pytest.ExitCode.USAGE_ERROR, 3: pytest.ExitCode.NO_TESTS_COLLECTED}
    pytest.exit(f"parity: {error}", returncode=codes.get(error.exit_code, error.exit_code))


def _asks(fixtures: Iterable[str]) -> bool:
    """Whether a test is one of the suite; another project's own fixture of one of these names is left alone."""
    return {"examination", "question"} <= set(fixtures)


def _question(item: pytest.Item) -> PlanItem | None:
    callspec = getattr(item, "callspec", None)
    question = callspec.params.get("question") if callspec else None
    return question if isinstance(question, PlanItem) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that the options leave without a question; pytest would show them as skipped."""
    asking = [item for item in items if _asks(getattr(item, "fixturenames", ()))]
    left_out = {item: why for item in asking if (why := _left_out(config, item))}
    for item, (name, words) in left_out.items():
        if _question(item):
            _examination(config).asked.left_out[name] = words
    idle = [item for item in asking if _question(item) is None or item in left_out]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    cases = {i: q.case for i in asking if i.get_closest_marker(LATENCY) and (q := _question(i)) is not None}
    items.sort(key=lambda item: cases.get(item, ""))  # last, when no process works ahead, and one case after the other


def _left_out(config: pytest.Config, item: Any) -> tuple[str, str] | None:
    """A name and words for why a test of the suite is not asked; None if it is."""
    from parity.latency import benchmarking

    for mark, words in LEFT_OUT.items():
        if item.get_closest_marker(mark) and not _wanted(config, mark):
            return mark, words
    option = benchmarking.skipped_by(config, item)
    return (option, f"what {option} skips, left out") if option else None


def _wanted(config: pytest.Config, mark: str) -> bool:
    """Whether the tests of a marker are asked for, or spoken of at all: pytest then does as it is told."""
    named = mark == LATENCY and (config.getoption("--parity-latency") or LATENCY in config.getoption("--parity-probe"))
    return named or re.search(rf"\b{mark}\b", config.option.markexpr) is not None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the plan, before the first question is asked."""
    questions = {q: item for item in session.items if (q := _question(item)) is not None}
    if not questions or session.config.getoption("collectonly"):
        return
    if any("benchmark" in getattr(item, "fixturenames", ()) for item in questions.values()):
        _check_benchmarks(session.config)
    modules = {q.item: item.module.__name__ for q, item in questions.items() if isinstance(item, pytest.Function)}
    try:
        _examination(session.config).plan(list(questions), modules)
    except ParityError as error:
        _give_up(error)
    _remember_interrupts(session.config)


def _check_benchmarks(config: pytest.Config) -> None:
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
    """Keep in mind that Ctrl-C was pressed: a KeyboardInterrupt that meets jax's callback of the collector is lost."""
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
    """Stop before the next question, if an interrupt was lost."""
    if item.config.stash.get(INTERRUPTED, False):
        raise KeyboardInterrupt


@pytest.fixture
def examination(request: pytest.FixtureRequest) -> Any:
    """The run in progress: `examination.check(question)` asks a question and fails the test if the answer does."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        _examination(request.config).prepare(request.getfixturevalue("question"))
    return _examination(request.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record a question that ended in an error: no item may pass through without a check."""
    report: Any = yield
    question = _question(item)
    if question is not None and call.excinfo is not None and report.failed:
        error = call.excinfo.value
        if isinstance(error, StorageError):
            _give_up(error)
        _examination(item.config).record_error(question, error)
        if isinstance(error, ParityError):
            report.longrepr = _examination(item.config).error_text(question, error)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Seal the record, write the report, and let nothing pass that was planned and not seen."""
    examination = session.config.stash.get(EXAMINATION, None)
    if examination is None:
        return
    states: dict[int, str] = {pytest.ExitCode.OK: records.COMPLETE, pytest.ExitCode.TESTS_FAILED: records.COMPLETE}
    states[pytest.ExitCode.INTERRUPTED] = records.INTERRUPTED
    try:
        examination.finish(states.get(exitstatus, records.ABORTED))
    except ParityError as error:
        _give_up(error)
    if exitstatus == pytest.ExitCode.OK and examination.planned and not examination.run.in_order():
        compared = examination.run.compared()
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if compared else pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The verdict, the scores, where the time went, and where the report is."""
    examination = config.stash.get(EXAMINATION, None)
    if examination is not None and examination.planned:
        terminalreporter.section("parity")
        for line in examination.summary(terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line)
