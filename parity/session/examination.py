"""One run of the suite: which questions are asked, what was found, and what is said about it."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import asdict, replace

from parity import records
from parity.cases.case import Case
from parity.compat import deprecations, handshake, known_issues
from parity.core import environment
from parity.core.errors import ParityError
from parity.core.failures import CRASH, NUMERIC, Failure, classify
from parity.core.ledger import FRAMEWORKS, IMPORTING, TRAINING, Ledger
from parity.records import NO_DEVICE, Check, Deprecation, Event, PlanItem, Program, Recorder, Remedy, Run
from parity.report import terminal
from parity.runtimes import EVALUATION_OF, VIRTUAL_CPUS
from parity.scoring.rules import LIMIT
from parity.session import repeating
from parity.session.questions import Questions
from parity.session.selection import FINETUNED, OF_NO_CASE, OPERATIONS, OPTIMIZERS, RESUMPTION, Selection, not_installed

if TYPE_CHECKING:
    from parity.handover.trajectories import Trajectories
    from parity.latency import Effort
    from parity.latency.asking import Latencies
    from parity.probes.optimizers import Updates
    from parity.probes.power import PowerStudy
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import LeafResult


class Examination:
    """Keeps what a run needs: a subject per case, the record, and the clock."""

    def __init__(
        self, selection: Selection, cell: str, out: Path | None, ledger: Ledger, effort: Effort | None = None
    ) -> None:
        self.selection = selection
        self.ledger = ledger
        self.run = Run(cell=cell, started_at=records.now(), environment={})
        self.planned: list[PlanItem] = []
        self.asked = Questions(selection, self.import_frameworks, lambda name: self.subject(name).dataset.test.size)
        self._out, self._effort = out, effort
        self._recorder: Recorder | None = None
        self._subjects: dict[str, Subject] = {}
        self._studies: dict[str, PowerStudy] = {}
        self._followed: dict[str, Trajectories] = {}
        self._updates: Updates | None = None
        self._prepared: set[str] = set()
        self._modules: dict[str, str] = {}
        self._foretold: dict[str, handshake.Prediction] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._report = ""
        self._listener: deprecations.Listener | None = None

    def import_frameworks(self) -> None:
        """Import both frameworks and give each its virtual CPUs, before either starts."""
        if "versions" in self.run.environment:
            return
        with self.ledger.spend(IMPORTING), deprecations.listening(self.deprecated):
            try:
                from parity.compat import reader, writer
                from parity.export import artifact
                from parity.runtimes import jax, subject
            except Exception as error:  # releases that do not go together fail in many ways
                raise not_installed("tensorflow", error) from error
            assert subject
            artifact.configure_devices(VIRTUAL_CPUS)
            versions = environment.versions()
            wrote, said = writer.describe(), reader.describe()
            read = said.filled(versions["tensorflow"])
            self._foretold = {
                case.name: handshake.foresee(wrote, read, writer.newer_for(case, wrote, read))
                for case in self.selection.cases.values()
            }
        self._listener = deprecations.Listener(self.deprecated)
        self.run.environment |= {
            "versions": versions,
            "installed": environment.installed(),
            "machine": environment.machine(),
            "devices": {"jax": jax.devices(), "tensorflow": artifact.devices()},
            "writer": vars(wrote),
            "reader": vars(said),
            "prediction": vars(next(iter(self._foretold.values()))),
        }

    def plan(self, questions: list[PlanItem], modules: dict[str, str]) -> None:
        """Write down what will be asked, before anything is."""
        self.import_frameworks()
        self.planned, self._modules = questions, modules
        self.run.environment["left_out"] = list(self.asked.left_out.values())
        if self._out is not None:
            self._recorder = Recorder(self._out, self.run)
            (self._out / "index.html").unlink(missing_ok=True)  # it is about another run
        for question in questions:
            self._add(question)

    def _add(self, event: Any) -> None:
        if self._recorder is not None:
            self._recorder.add(event)
        else:
            records.append(self.run, event)

    def deprecated(self, found: Deprecation) -> None:
        """Record a deprecation, once."""
        if found not in (self.run.deprecations or []):
            self._add(found)

    def anew(self, subject: Subject) -> Examination:
        """An examination of the same cases in the same environment, on a record of its own that is not written."""
        other = copy.copy(self)
        other._out = other._recorder = None
        other.run = Run(cell=self.run.cell, started_at=records.now(), environment=self.run.environment)
        other.planned, other._seen, other._prepared = [], set(), {subject.case.name}
        other._studies, other._followed, other._updates = {}, {}, None
        other._subjects = {subject.case.name: subject}
        other.__dict__.pop("latencies", None)
        return other

    def subject(self, case: str) -> Subject:
        """The subject of a case."""
        if case not in self._subjects:
            from parity.core.progress import Bar
            from parity.runtimes.subject import Subject

            [found] = [c for c in self.selection.cases.values() if c.name == case]
            self._subjects[case] = Subject(found, self.ledger, Bar())
        return self._subjects[case]

    def prepare(self, question: PlanItem) -> None:
        """Train and export the case of `question`, with a progress bar, unless that is done."""
        if question.probe in OF_NO_CASE:
            return
        subject = self.subject(question.case)
        from parity.probes import checks

        first = question.case not in self._prepared
        self._prepared.add(question.case)
        if first:
            subject.expect(q for q in self.planned if q.case == question.case and q.probe in EVALUATION_OF)
        trained = subject.trained
        if first:
            for event in (*checks.jax_curves(question.case, trained.metrics), *self._programs(subject.case)):
                self._add(event)
            with suppress(ParityError):  # what cannot start is an error of its own questions, where it is raised again
                subject.start()

    def _programs(self, case: Case) -> list[Program]:
        from parity.compat import writer

        with self.ledger.spend(FRAMEWORKS):
            return writer.programs(case)

    def check(self, question: PlanItem) -> None:
        """Ask `question`, record a check per leaf, and fail the test if one of them fails."""
        subject = self.subject(question.case)
        results = subject.results(question)
        size = subject.batch(question.batch_size).size
        self._record_budgets(subject, question.probe, size)
        self.conclude(question, [*results, *_skipped(subject, question, results)], size)

    def _record_budgets(self, subject: Subject, probe: str, size: int) -> None:
        key = (subject.case.name, probe, size)
        if key in self._seen or probe == "accuracy":
            return
        self._seen.add(key)
        for budget in subject.budget_records(probe, size):
            self._add(budget)

    def conclude(self, question: PlanItem, results: list[LeafResult], size: int) -> None:
        """Record results as checks, and fail the test if one of them is not in order."""
        limit, reason = self._limit(question)
        known = {**asdict(question), "batch_size": size, "limit": limit, "limit_reason": reason}
        found = [self._settled(Check(**known, **vars(j), repeat=self.repeat(question))) for j in results]
        for check in found:
            self._add(check)
        bad = [check for check in found if check.status not in records.IN_ORDER]
        if bad or not found:
            pytest.fail(terminal.failure(question, bad, len(found)), pytrace=False)

    def _limit(self, question: PlanItem) -> tuple[float, str | None]:
        if question.probe in OF_NO_CASE:
            return LIMIT, None
        subject = self.subject(question.case)
        return subject.limit, subject.case.limit.reason if subject.case.limit else None

    def _settled(self, check: Check) -> Check:
        """A check under the remedy of its export, and held against the known issues."""
        alone = check.tf_device == NO_DEVICE or check.probe == OPERATIONS
        remedy = None if alone else self._remedy(check.case)
        if remedy is not None and check.status == records.PASS:
            check = replace(check, status=records.REMEDIED, failure=remedy.failure, evidence=remedy.evidence)
        if check.status == records.FAIL and check.failure is None:
            check = replace(check, failure=NUMERIC, evidence=check.message)
        return known_issues.settle(check, self.run.environment, known_issues.load())

    def _remedy(self, case: str) -> Remedy | None:
        """The remedy under which a case was exported; what the handshake knows of the operations completes it."""
        remedy = self._of_updates.remedy if case == OPTIMIZERS else self.subject(case).remedy
        if remedy is None:
            return None
        if case in self._foretold:
            remedy = replace(remedy, evidence=self._foretold[case].completed(remedy.failure, remedy.evidence))
        if remedy not in self.run.remedies:
            self._add(remedy)
        return remedy

    def check_operation(self, question: PlanItem) -> None:
        """Judge one operation, as exported by default or with the remedy."""
        from parity.probes import operations

        name = repeating.ident(question)
        version = self.run.environment["versions"]["tensorflow"]
        self.conclude(question, [operations.result(name, version)], question.batch_size)

    def check_optimizer(self, question: PlanItem) -> None:
        """Hand an optimizer with its schedule over, on a small model."""
        with self.ledger.spend(FRAMEWORKS):
            results = self._of_updates.results(*repeating.ident(question).split("-"))
        self.conclude(question, results, question.batch_size)

    @property
    def _of_updates(self) -> Updates:
        from parity.probes import optimizers as updating

        self._updates = self._updates or updating.Updates(self.ledger)
        return self._updates

    def check_relation(self, question: PlanItem) -> None:
        """Judge one relation of a runtime's answers to each other."""
        from parity.probes import relations

        subject = self.subject(question.case)
        size = subject.batch(question.batch_size).size
        self.conclude(question, relations.results(repeating.name(question), subject, question.runtime, size), size)

    def check_canary(self, question: PlanItem) -> None:
        """Plant a defect, and record whether the subject sees it."""
        from parity.probes import seeded_defects as canaries

        subject = self.subject(question.case)
        size = subject.batch(question.batch_size).size
        study, name = self._study(question.case), repeating.name(question)
        found = canaries.result(name, subject, study, question.runtime, size)
        self.conclude(question, [found], size)

    def _study(self, case: str) -> PowerStudy:
        from parity.probes import power

        if case not in self._studies:
            self._studies[case] = power.PowerStudy(self.subject(case))
        return self._studies[case]

    def check_power(self, question: PlanItem) -> None:
        """Record what the probe would catch, and fail the test if that is nothing."""
        from parity.probes import power

        subject = self.subject(question.case)
        size = subject.batch(question.batch_size).size
        powers = self._study(question.case).of(question.probe, size)
        for found in powers:
            self._add(found)
        self.conclude(question, [power.judge(question.probe, powers)], size)

    def check_case(self, question: PlanItem) -> None:
        """Check what is checked once per case: its training, the artifact, or training that goes on."""
        from parity.probes import checks

        subject = self.subject(question.case)
        with self.ledger.spend(FRAMEWORKS):
            results, events = checks.ONCE[question.probe](subject)
        for event in (*events, *self._restarted(question)):
            self._add(event)
        self.conclude(question, results, subject.dataset.test.size)

    def _restarted(self, question: PlanItem) -> list[Event]:
        """What training costs that goes on in TensorFlow as the published workflow does it."""
        from parity.handover import trajectories

        asked = trajectories.asked(self.subject(question.case).case)
        if question.probe != FINETUNED or not asked or not self.planned:
            return []  # unplanned is what a fault is planted for
        with self.ledger.spend(TRAINING):
            return self._trajectories(question.case).restarted()

    def check_trajectory(self, question: PlanItem) -> None:
        """Hand training over, follow it, and record where it goes."""
        trajectories, way = self._trajectories(question.case), repeating.name(question)
        with self.ledger.spend(TRAINING):
            if any((q.case, q.probe) == (question.case, RESUMPTION) for q in self.planned):
                trajectories.begin_interruption()
            results, events = trajectories.results(way), trajectories.records(way)
        for event in events:
            self._add(event)
        self.conclude(question, results, question.batch_size)

    def check_resumption(self, question: PlanItem) -> None:
        """Interrupt training that was handed over, and resume it."""
        with self.ledger.spend(TRAINING):
            results = self._trajectories(question.case).resumption()
        self.conclude(question, results, question.batch_size)

    def check_endurance(self, question: PlanItem) -> None:
        """Hand training over from several seeds, and follow it to its end."""
        from parity.handover import endurance

        with self.ledger.spend(TRAINING):
            results, events = endurance.results(self.subject(question.case).case, self.ledger)
        for event in events:
            self._add(event)
        self.conclude(question, results, question.batch_size)

    def _trajectories(self, case: str) -> Trajectories:
        from parity.handover import trajectories

        if case not in self._followed:
            self._followed[case] = trajectories.Trajectories(self.subject(case))
        return self._followed[case]

    @cached_property
    def latencies(self) -> Latencies:
        """Times steps, and records how long they take."""
        from parity.latency import Effort
        from parity.latency.asking import Latencies

        effort = self._effort or Effort()
        return Latencies(self.selection.cases, self.planned, self.subject, effort, self.ledger, self._add)

    def record_error(self, question: PlanItem, error: BaseException) -> None:
        """Record that a question ended in `error`, unless its checks are recorded."""
        if any(check.item == question.item for check in self.run.checks):
            return
        status = getattr(error, "status", records.ERROR)
        message = str(error) or type(error).__name__
        if question.probe not in OF_NO_CASE and question.tf_device != NO_DEVICE:
            message = "\n".join(filter(None, (message, self.subject(question.case).unmended)))
        failure = Failure(CRASH, message) if status == records.CRASH else classify(f"{type(error).__name__}: {error}")
        self._add(self._settled(Check(
            **asdict(question), leaf="*", status=status, failure=failure.kind, evidence=failure.evidence,
            message=message, repeat=self.repeat(question),
        )))  # fmt: skip

    def error_text(self, question: PlanItem, error: ParityError) -> str:
        """What pytest shows of an error."""
        return f"{question.item}: {error}\nrepeat: {self.repeat(question)}"

    def repeat(self, question: PlanItem) -> str:
        """The command that asks just this question again."""
        names = [name for name, case in self.selection.cases.items() if case.name == question.case]
        return repeating.command(question, self._modules.get(question.item, "parity.suites"), names)

    def finish(self, state: str) -> None:
        """End processes, seal the record, and write the report."""
        if state == records.COMPLETE and self.run.compared():
            self._profile()
        for opened in (self._updates, *self._followed.values(), self.__dict__.get("latencies")):
            if opened is not None:
                opened.close()
        for subject in self._subjects.values():
            subject.close()
        if self._listener is not None:
            self._listener.stop()
        self.run.state, self.run.ended_at, self.run.spent_s = state, records.now(), self.ledger.totals()
        if self._recorder is not None and self._out is not None:
            from parity import report

            self._recorder.seal(state, self.ledger.totals())
            self._report = report.write_if_installed([self.run], self._out / "index.html")

    def _profile(self) -> None:
        """Record how far off the worst leaves are, and where; what is asked again is booked as it was."""
        from parity.probes import profiles

        for subject in self._subjects.values():
            for found in profiles.of_case(subject, self.run.checks):
                self._add(found)

    def summary(self, width: int) -> list[str]:
        """What the terminal shows at the end."""
        return terminal.summary(self.run, width, self._report)


def _skipped(subject: Subject, question: PlanItem, results: list[LeafResult]) -> list[LeafResult]:
    """A result on every leaf that has none: of JAX's answer, and of the parameters that have a gradient."""
    from parity.scoring.rules import LeafResult

    seen = {result.leaf for result in results}
    return [
        LeafResult(leaf, records.MISSING, message="was not judged")
        for leaf in subject.leaves(question.probe, question.batch_size)
        if leaf not in seen
    ]
