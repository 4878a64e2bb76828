"""What a terminal shows while items run: one line in the place of pytest's dots, and no native log lines.

Tests of other projects that run beside ours keep the output of pytest, and -v gives that of ours too.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from parity.compat import causes
from parity.core import native_log
from parity.core.progress import Estimate, Line, Report, State, silent
from parity.records import PlanItem
from parity.report import facts

_LINE = pytest.StashKey["Watching"]()


def begin(config: pytest.Config, wanted: bool) -> None:
    """Make the progress line, unless pytest is to show details; show it where the suites are `wanted`."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or config.getoption("verbose") > 0 or config.getoption("collectonly"):
        return
    if config.getoption("capture") == "no":  # what tests print would be in the way
        return
    config.stash[_LINE] = watching = Watching(reporter)
    config.pluginmanager.register(watching)
    config.add_cleanup(watching.line.close)
    if wanted:
        watching.line.show(State("importing jax and tensorflow"))
        watching.line.open()


def step(config: pytest.Config) -> Report:
    """Return what is called after every step of a training."""
    watching = config.stash.get(_LINE, None)
    return watching.line.step if watching is not None else silent


def plan(config: pytest.Config, planned: Mapping[PlanItem, pytest.Item]) -> None:
    """Begin with the first of the planned items."""
    watching = config.stash.get(_LINE, None)
    if watching is not None:
        watching.plan({test.nodeid: item for item, test in planned.items()})
    if not native_log.is_wanted() and config.getoption("capture") != "no":
        out = config.getoption("--parity-out")
        natives = _Natives(Path(out) / native_log.LOG if out else None, {test.nodeid for test in planned.values()})
        config.pluginmanager.register(natives)
        config.add_cleanup(natives.close)


class Watching:
    """Shows the progress of planned items, and keeps the dots of pytest for other tests."""

    def __init__(self, reporter: Any) -> None:
        self.line = Line(reporter._tw._file)
        self._reporter, self._nowhere = reporter, type(reporter._tw)(_Nowhere())
        self._planned: dict[str, PlanItem] = {}
        self._done: set[str] = set()
        self._bad, self._others = 0, False
        self._estimate = Estimate(())

    def plan(self, planned: dict[str, PlanItem]) -> None:
        """Note the plan: its items by the id of their test."""
        self._planned, self._estimate = planned, Estimate(map(_kind, planned.values()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self) -> None:
        """Remove the line before pytest says what it collected."""
        self.line.hide()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Iterator[None]:
        """Show the item that begins."""
        if nodeid not in self._planned:
            self._others = True
            self.line.hide()
            return (yield)
        self._reporter.ensure_newline()
        self._began = time.monotonic()
        self._show(_words(self._planned[nodeid]))
        self.line.open()
        with self._silent():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Iterator[None]:
        """Count an item that failed."""
        self._bad += report.failed and report.nodeid in self._planned
        with self._silent() if report.nodeid in self._planned else nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> Iterator[None]:
        """Count an item that is done."""
        if nodeid not in self._planned:
            return (yield)
        self._done.add(nodeid)
        self._estimate.finished(_kind(self._planned[nodeid]), time.monotonic() - self._began)
        self._show(_words(self._planned[nodeid]))
        with self._silent():
            return (yield)

    # Innermost, as below: pytest writes when the innermost part of these hooks is done.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Leave out the percentage after the last dot, where no dot was shown."""
        result = yield
        self.line.hide()
        if not self._others:
            self._reporter._show_progress_info = False
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Remove the line when the record is sealed."""
        if self._planned:
            self._show("writing the report")
            self.line.open()
        try:
            return (yield)
        finally:
            self.line.close()

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        self.line.hide()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self) -> None:
        """Leave the terminal to the error."""
        self.line.hide()

    def _show(self, text: str) -> None:
        left_s, at_least = self._estimate.left()
        bad = f"{self._bad:,} failed, " if self._bad else ""
        self.line.show(State(bad + text, len(self._done), len(self._planned), left_s, at_least))

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Let the reporter of pytest count, and write nothing."""
        before, place = self._reporter._tw, self._reporter.currentfspath
        self._reporter._tw = self._nowhere
        try:
            yield
        finally:
            self._reporter._tw, self._reporter.currentfspath = before, place


class _Nowhere(io.StringIO):
    """A file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def _kind(item: PlanItem) -> tuple[str, str]:
    return item.case, item.test


def _words(item: PlanItem) -> str:
    """Return what an item asks, in a few words."""
    what = f"{item.test} {item.variant}" if item.variant else item.test
    size = f", {facts.size_words(item.batch_size)}" if item.batch_size else ""
    return facts.plain(f"{what} on {item.runtime}{size}")


class _Natives:
    """Keeps what native code writes while items run out of the terminal.

    Args:
        path: the log; None where no record is written.
        ours: the ids of the tests.
    """

    def __init__(self, path: Path | None, ours: Collection[str]) -> None:
        # A log that this process writes into already has everything, also what the frameworks wrote before.
        self._log = None if path is not None and native_log.leads_to(path) else native_log.NativeLog(path)
        self._ours, self._since = ours, 0

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    @contextmanager
    def _taking(self, item: pytest.Item) -> Iterator[None]:
        with self._log.taking() if self._log is not None and item.nodeid in self._ours else nullcontext():
            yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write into the log which item begins."""
        if nodeid in self._ours:
            self._write(f"{nodeid}\n")
            self._since = self._log.size() if self._log is not None else 0

    # Innermost: pytest redirects the descriptor as well, in wrappers of the same hooks.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Take what fixtures write."""
        with self._taking(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Take what the test writes."""
        with self._taking(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Take what fixtures write."""
        with self._taking(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Take what is written while the record is completed."""
        with self._log.taking() if self._log is not None else nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Show the last lines of an item that failed, unless its cause is known; write its error into the log."""
        report: Any = yield
        if not report.failed or item.nodeid not in self._ours:
            return report
        error = call.excinfo.value if call.excinfo is not None else None
        known = getattr(error, "failure", None) is not None
        if not known and self._log is not None and (text := self._log.last_lines(self._since)):
            report.sections.append(("Captured native log", text))
        if isinstance(error, Exception):
            self._write(f"{item.nodeid}\n{causes.full_text(error)}")
        return report

    def _write(self, text: str) -> None:
        if self._log is not None:
            self._log.write(text)
        else:
            print(text, file=sys.stderr, flush=True)
