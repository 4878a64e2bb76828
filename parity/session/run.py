"""One run: its environment, plan, subjects and record, kept together for the pytest plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from parity import records
from parity.cases import symbols
from parity.compat import deprecations, known_issues
from parity.core.errors import ParityError, UsageError
from parity.core.ledger import FRAMEWORKS, TimeLedger
from parity.core.progress import Report, silent
from parity.probes import registry
from parity.probes.declaration import Probe
from parity.records import NO_DEVICE, Check, PlanItem, Remedy, Run
from parity.runtimes import registry as runtimes
from parity.runtimes.base import ARTIFACT, EVALUATION_OF
from parity.scoring import rules
from parity.scoring.rules import LIMIT
from parity.session import environment, repeat
from parity.session.failing import Causes
from parity.session.planning import Planner
from parity.session.recording import RunRecord
from parity.session.selection import Selection

if TYPE_CHECKING:
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult

T = TypeVar("T")


class RunSession:
    """A run in progress.

    Args:
        selection: what options select.
        cell: the name of this environment in the record.
        out: the folder for the record and the report; None for neither.
        ledger: where seconds are booked.
        issues: the known issues.
        subjects: subjects that are prepared already, by case.
        progress: called after every training step.
    """

    def __init__(
        self,
        selection: Selection,
        cell: str,
        out: Path | None,
        ledger: TimeLedger,
        issues: Iterable[known_issues.KnownIssue] = (),
        subjects: Mapping[str, Subject] | None = None,
        progress: Report = silent,
    ) -> None:
        self.selection, self.ledger = selection, ledger
        self.record = RunRecord(Run(cell=cell, started_at=records.now(), environment={}), tuple(issues))
        self.plan: list[PlanItem] = []
        self.probes: dict[str, Probe] = {}
        self.report = ""
        self._out, self._progress = out, progress
        self._where: dict[str, str] = {}
        self._recorded_by: dict[tuple[str, str], str] = {}
        self._environment: environment.Environment | None = None
        self._planner: Planner | None = None
        self._listener: deprecations.LogCollector | None = None
        self._subjects: dict[str, Subject] = dict(subjects or {})
        self._prepared: set[str] = set(self._subjects)
        self._budgets: set[tuple[str, str, int]] = set()
        self._unusable: dict[str, ParityError] = {}
        self._foreign_leaves: dict[tuple[str, str], list[str]] = {}
        self.causes = Causes()
        self._resources: dict[Any, Any] = {}
        self._late: tuple[str, int] | None = None

    @property
    def run(self) -> Run:
        """The record."""
        return self.record.run

    @property
    def environment(self) -> environment.Environment:
        """What the run runs on; both frameworks are imported when this is first read.

        Raises:
            NotComparableError: one of them cannot be imported.
        """
        if self._environment is None:
            deprecated = self.record.deprecated
            self._environment = environment.import_frameworks(self.selection, self.ledger, deprecated)
            self._listener = deprecations.LogCollector(deprecated)
            self.record.predictions = self._environment.predictions
            self.run.environment |= self._environment.facts
        return self._environment

    def for_subject(self, subject: Subject) -> RunSession:
        """Return a run in the same environment, about another subject of the case, with a record of its own."""
        issues, subjects = self.record.issues, {subject.case.name: subject}
        other = RunSession(self.selection, self.run.cell, None, self.ledger, issues, subjects)
        other._environment, other._planner = self.environment, self.planner
        other.run.environment |= self.environment.facts
        return other

    @property
    def planner(self) -> Planner:
        """Plans the items of probes for this run."""
        if self._planner is None:
            gpus = self.environment.gpus
            self._planner = Planner(
                self.selection, gpus, lambda name: self.subject(name).dataset.test.size,
                lambda name: self.subject(name).dataset.test.sizes, lambda name: self.subject(name).interface,
            )  # fmt: skip
        return self._planner

    def begin(self, plan: list[PlanItem], level: str | None = None) -> None:
        """Record the plan, and its level, where that is not the selected one."""
        self.plan = plan
        self.run.environment |= self.environment.facts
        by_level = self.planner.left_out_by_level()
        self.run.environment["left_out"] = [*filter(None, [by_level]), *self.planner.left_out.values()]
        if artifacts := self.planner.artifacts:
            self.run.environment["artifacts"] = artifacts
        self.run.level = level or self.selection.level
        self.record.begin(self._out, plan)

    def begin_test(self, item: PlanItem, where: str) -> None:
        """Note that the test with the id `where` runs now; several tests of one probe have the same plan items."""
        self._where[item.item] = where

    def subject(self, case: str) -> Subject:
        """Return the subject of a case."""
        if case not in self._subjects:
            from parity.probes import profiles
            from parity.runtimes.subject import Subject

            [found] = [c for c in self.selection.cases.values() if c.name == case]
            self._subjects[case] = Subject(found, self.ledger, self._progress)
            self._subjects[case].observer = profiles.WorstLeaves()
        return self._subjects[case]

    def require_usable(self) -> None:
        """Require, before the plan, that JAX can trace the functions of every case on its examples.

        Raises:
            UsageError: it cannot; the message is that of `parity doctor`.
        """
        for case in self.selection.cases.values():
            _ = self.subject(case.name).initial

    def prepare(self, item: PlanItem) -> None:
        """Train and export the case of `item`, unless that is done.

        Raises:
            ParityError: the case cannot be trained.
        """
        if self.probe_of(item).about_pair:
            return
        subject, first = self.subject(item.case), item.case not in self._prepared
        self._prepared.add(item.case)
        late = item.case, self.turn(item)
        if self.turn(item) and self._late != late:
            self._late = late
            for other in self._subjects.values():
                other.make_room()
        try:
            if first:
                subject.announce(i for i in self.plan if i.case == item.case and i.test in EVALUATION_OF)
            trained = subject.trained
        except ParityError as error:
            self._unusable[item.case] = error
            raise
        if first:
            from parity.probes.training import curves

            with self.ledger.spend(FRAMEWORKS):
                found = self.environment.programs[item.case].records()
            for event in (*curves(item.case, trained), *found):
                self.record.add(event)
            with suppress(ParityError):  # a runtime that cannot start raises again in its own tests
                subject.start()
            if subject.slow is not None:
                print(subject.slow, file=sys.stderr)

    def turn(self, item: PlanItem) -> int:
        """Return when an item is run: 0 for what asks, 1 for what trains on, 2 for what is timed.

        Training on needs more memory than anything else, and timing a machine on which no process works ahead.
        """
        probe = self.probe_of(item)
        return 2 if probe.mark == "latency" else int(probe.continues)

    def record_if_unusable(self, item: PlanItem) -> ParityError | None:
        """Record the error of an item whose case an earlier one has shown to be unusable; None where it is usable."""
        error = self._unusable.get(item.case)
        if error is None or self.probe_of(item).about_pair:
            return None
        self.record_error(item, error)
        return error

    def record_if_unchecked(self, item: PlanItem, why: str, since: int) -> bool:
        """Record that an item is missing, with the reason, unless it has a check; return whether it has none.

        `since` is the number of checks before its test: another test of the same probe may have checks of the item.
        """
        if any(check.item == item.item for check in self.run.checks[since:]):
            return False
        self.record.missing(item, why, self.repeat(item))
        return True

    def probe_of(self, item: PlanItem) -> Probe:
        """Return the probe that planned `item`."""
        return self.probes.get(item.test) or registry.probes()[item.test]

    def shared(self, make: Callable[[RunSession], T]) -> T:
        """Return what `make` makes of this run, made once and closed with it."""
        if make not in self._resources:
            self._resources[make] = make(self)
        found: T = self._resources[make]
        return found

    def size(self, item: PlanItem) -> int:
        """Return the number of examples that `item` is about."""
        return item.batch_size or self.subject(item.case).dataset.test.size

    def record_results(
        self, item: PlanItem, results: Iterable[LeafResult], remedy: Remedy | None = None
    ) -> list[Check]:
        """Record a check for each result; return them with their final status.

        Args:
            item: what was asked.
            results: one for each leaf.
            remedy: of a probe about the pair of releases; that of the subject's export otherwise.

        Raises:
            UsageError: a leaf of the item has a check already; nothing is recorded then.
        """
        results = list(results)
        self._require_once(item, results)
        if self.probe_of(item).about_pair:
            return self.record.checks(item, results, item.batch_size, self.repeat(item), remedy, LIMIT)
        subject, size = self.subject(item.case), self.size(item)
        self._record_budgets(item, subject, size)
        limit, reason = subject.limit_of(item.probe), subject.case.limit.reason if subject.case.limit else None
        if item.tf_device == NO_DEVICE:
            results = [rules.about(result, item.runtime) for result in results]
        elif subject.case.has_own_artifact and runtimes.require(item.runtime).capabilities.source == ARTIFACT:
            foreign = self._foreign(item) if any(result.status == records.FAIL for result in results) else ()
            results = [rules.about_artifact(result, foreign) for result in results]
        return self.record.checks(item, results, size, self.repeat(item), subject.remedy, limit, reason)

    def _foreign(self, item: PlanItem) -> list[str]:
        """Return the leaves of which the user's own artifact has other values than the case, asked once."""
        key = (item.case, item.runtime)
        if key not in self._foreign_leaves:
            from parity.probes import state

            self._foreign_leaves[key] = []
            with suppress(ParityError):  # raised again by the tests of its state
                self._foreign_leaves[key] = state.foreign(self.subject(item.case), item.runtime)
        return self._foreign_leaves[key]

    def _require_once(self, item: PlanItem, results: Iterable[LeafResult]) -> None:
        """Refuse results that would give a leaf of an item two checks: the gate compares by item and leaf."""
        test, new = self._where.get(item.item, item.item), dict[tuple[str, str], str]()
        for result in results:
            key = (item.item, result.leaf)
            before = self._recorded_by.get(key) or new.get(key)
            if before is not None:
                tests = f"by {before} and by {test}" if before != test else f"by {test}"
                raise UsageError(
                    f"leaf {result.leaf!r} of {item.item} is recorded twice, {tests}. Expected one check of each leaf: "
                    "record it once, name one of the leaves or defects otherwise, or give the test a probe of its own."
                )
            new[key] = test
        self._recorded_by |= new

    def _record_budgets(self, item: PlanItem, subject: Subject, size: int) -> None:
        probe, key = self.probe_of(item), (item.case, item.probe, size)
        if probe.evaluation is None or probe.discrete or key in self._budgets or symbols.read(item.variant):
            return  # budgets go by batch size: those of other sizes are not recorded
        self._budgets.add(key)
        for budget in subject.reference.records(item.probe, size):
            self.record.add(budget)

    def record_error(self, item: PlanItem, error: BaseException) -> None:
        """Record that an item ended in `error`, unless its checks are recorded."""
        alone = self.probe_of(item).about_pair or item.tf_device == NO_DEVICE
        subject = None if alone else self.subject(item.case)
        note, remedy = (subject.no_remedy, subject.remedy) if subject else (None, None)
        self.record.error(item, error, note, self.repeat(item), remedy)

    def repeat(self, item: PlanItem) -> str:
        """Return the command that runs the test of `item` alone."""
        probe = self.probe_of(item)
        return repeat.command(
            item, probe, self._where.get(item.item, f"parity.suites::{item.item}"), self.selection,
            self.run.environment.get("known_issues"),
        )  # fmt: skip

    def finish(self, state: str) -> None:
        """Close what is open, seal the record, and write the report."""
        try:
            if state == records.COMPLETE and self.run.compared():
                self._record_profiles()
        finally:
            with ExitStack() as stack:  # one that cannot be closed keeps neither the others nor the record open
                stack.callback(lambda: self.record.seal(state, self.ledger.totals()))
                if self._listener is not None:
                    stack.callback(self._listener.stop)
                for part in (*self._subjects.values(), *self._resources.values()):
                    stack.callback(part.close)
        if self._out is not None and self.plan:
            from parity import report

            self.report = report.write_if_installed([self.run], self._out / "index.html")

    def _record_profiles(self) -> None:
        """Record how far off the worst leaves are, and where."""
        from parity.probes import profiles

        for subject in self._subjects.values():
            for found in profiles.of_case(subject, self.run.checks):
                self.record.add(found)
