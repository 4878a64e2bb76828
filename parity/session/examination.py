"""One run of the suite: which questions are asked, what was found, and what is said about it."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from parity import records
from parity.cases.case import Case
from parity.compat import deprecations, handshake, known_issues
from parity.core import environment
from parity.core.errors import ParityError
from parity.core.failures import CRASH, NUMERIC, Failure, classify
from parity.core.ledger import FRAMEWORKS, IMPORTING, TRAINING, Ledger
from parity.records import NO_DEVICE, Check, Deprecation, Event, Planned, Program, Recorder, Remedy, Run
from parity.report import summary
from parity.runtimes import EVALUATION_OF, VIRTUAL_CPUS
from parity.scoring.judging import LIMIT
from parity.session import repeating
from parity.session.questions import Questions
from parity.session.selection import FINETUNED, OF_NO_CASE, OPERATIONS, OPTIMIZERS, RESUMPTION, Selection, not_installed

if TYPE_CHECKING:
    from parity.handover.trajectories import Trajectories
    from parity.latency import Effort
    from parity.latency.asking import Latencies
    from parity.probes.optimizers import Updates
    from parity.probes.power import PowerStudy
    from parity.runtimes.harness import Harness
    from parity.scoring.judging import Judgement


class Examination:
    """Keeps what a run needs: a harness per case, the record, and the clock."""

    def __init__(
        self, selection: Selection, cell: str, out: Path | None, ledger: Ledger, effort: Effort | None = None
    ) -> None:
        self.selection = selection
        self.ledger = ledger
        self.run = Run(cell=cell, started_at=records.now(), environment={})
        self.planned: list[Planned] = []
        self.asked = Questions(selection, self.import_frameworks, lambda name: self.harness(name).dataset.test.size)
        self._out, self._effort = out, effort
        self._recorder: Recorder | None = None
        self._harnesses: dict[str, Harness] = {}
        self._studies: dict[str, PowerStudy] = {}
        self._followed: dict[str, Trajectories] = {}
        self._updates: Updates | None = None
        self._prepared: set[str] = set()
        self._modules: dict[str, str] = {}
        self._foretold: dict[str, handshake.Prediction] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._report: Path | None = None
        self._listener: deprecations.Listener | None = None

    def import_frameworks(self) -> None:
        """Import both frameworks and give each its virtual CPUs, before either starts."""
        if "versions" in self.run.environment:
            return
        with self.ledger.spend(IMPORTING), deprecations.listening(self.deprecated):
            try:
                from parity.compat import reader, writer
                from parity.export import artifact
                from parity.runtimes import harness, jax
            except Exception as error:  # releases that do not go together fail in many ways
                raise not_installed("tensorflow", error) from error
            assert harness
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

    def plan(self, questions: list[Planned], modules: dict[str, str]) -> None:
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
        if found not in self.run.deprecations:
            self._add(found)

    def anew(self, harness: Harness) -> Examination:
        """An examination of the same cases in the same environment, on a record of its own that is not written."""
        other = copy.copy(self)
        other._out = other._recorder = None
        other.run = Run(cell=self.run.cell, started_at=records.now(), environment=self.run.environment)
        other.planned, other._seen, other._prepared = [], set(), {harness.case.name}
        other._studies, other._followed, other._updates = {}, {}, None
        other._harnesses = {harness.case.name: harness}
        other.__dict__.pop("latencies", None)
        return other

    def harness(self, case: str) -> Harness:
        """The harness of a case."""
        if case not in self._harnesses:
            from parity.core.progress import Bar
            from parity.runtimes.harness import Harness

            [found] = [c for c in self.selection.cases.values() if c.name == case]
            self._harnesses[case] = Harness(found, self.ledger, Bar())
        return self._harnesses[case]

    def prepare(self, question: Planned) -> None:
        """Train and export the case of `question`, with a progress bar, unless that is done."""
        if question.probe in OF_NO_CASE:
            return
        harness = self.harness(question.case)
        from parity.probes import checks

        first = question.case not in self._prepared
        self._prepared.add(question.case)
        if first:
            harness.expect(q for q in self.planned if q.case == question.case and q.probe in EVALUATION_OF)
        trained = harness.trained
        if first:
            for event in (*checks.jax_curves(question.case, trained.metrics), *self._programs(harness.case)):
                self._add(event)
            with suppress(ParityError):  # what cannot start is an error of its own questions, where it is raised again
                harness.start()

    def _programs(self, case: Case) -> list[Program]:
        from parity.compat import writer

        with self.ledger.spend(FRAMEWORKS):
            return writer.programs(case)

    def check(self, question: Planned) -> None:
        """Ask `question`, record a check per leaf, and fail the test if one of them fails."""
        harness = self.harness(question.case)
        judgements = harness.judgements(question)
        size = harness.batch(question.batch_size).size
        self._record_budgets(harness, question.probe, size)
        self.conclude(question, [*judgements, *_skipped(harness, question, judgements)], size)

    def _record_budgets(self, harness: Harness, probe: str, size: int) -> None:
        key = (harness.case.name, probe, size)
        if key in self._seen or probe == "accuracy":
            return
        self._seen.add(key)
        for budget in harness.budget_records(probe, size):
            self._add(budget)

    def conclude(self, question: Planned, judgements: list[Judgement], size: int) -> None:
        """Record judgements as checks, and fail the test if one of them is not in order."""
        limit, reason = self._limit(question)
        known = {**dataclasses.asdict(question), "batch_size": size, "limit": limit, "limit_reason": reason}
        found = [self._settled(Check(**known, **vars(j), repeat=self.repeat(question))) for j in judgements]
        for check in found:
            self._add(check)
        bad = [check for check in found if check.status not in records.IN_ORDER]
        if bad or not found:
            pytest.fail(summary.failure(question, bad, len(found)), pytrace=False)

    def _limit(self, question: Planned) -> tuple[float, str | None]:
        if question.probe in OF_NO_CASE:
            return LIMIT, None
        harness = self.harness(question.case)
        return harness.limit, harness.case.limit.reason if harness.case.limit else None

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
        remedy = self._of_updates.remedy if case == OPTIMIZERS else self.harness(case).remedy
        if remedy is None:
            return None
        if case in self._foretold:
            remedy = replace(remedy, evidence=self._foretold[case].completed(remedy.failure, remedy.evidence))
        if remedy not in self.run.remedies:
            self._add(remedy)
        return remedy

    def check_operation(self, question: Planned) -> None:
        """Judge one operation, as exported by default or with the remedy."""
        from parity.probes import operations

        name = repeating.ident(question)
        version = self.run.environment["versions"]["tensorflow"]
        self.conclude(question, [operations.judgement(name, version)], question.batch_size)

    def check_optimizer(self, question: Planned) -> None:
        """Hand an optimizer with its schedule over, on a small model."""
        with self.ledger.spend(FRAMEWORKS):
            judgements = self._of_updates.judgements(*repeating.ident(question).split("-"))
        self.conclude(question, judgements, question.batch_size)

    @property
    def _of_updates(self) -> Updates:
        from parity.probes import optimizers as updating

        self._updates = self._updates or updating.Updates(self.ledger)
        return self._updates

    def check_relation(self, question: Planned) -> None:
        """Judge one relation of a runtime's answers to each other."""
        from parity.probes import relations

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        self.conclude(question, relations.judgements(repeating.name(question), harness, question.runtime, size), size)

    def check_canary(self, question: Planned) -> None:
        """Plant a defect, and record whether the harness sees it."""
        from parity.probes import seeded_defects as canaries

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        study, name = self._study(question.case), repeating.name(question)
        found = canaries.judgement(name, harness, study, question.runtime, size)
        self.conclude(question, [found], size)

    def _study(self, case: str) -> PowerStudy:
        from parity.probes import power

        if case not in self._studies:
            self._studies[case] = power.PowerStudy(self.harness(case))
        return self._studies[case]

    def check_power(self, question: Planned) -> None:
        """Record what the probe would catch, and fail the test if that is nothing."""
        from parity.probes import power

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        powers = self._study(question.case).of(question.probe, size)
        for found in powers:
            self._add(found)
        self.conclude(question, [power.judge(question.probe, powers)], size)

    def check_case(self, question: Planned) -> None:
        """Check what is checked once per case: its training, the artifact, or training that goes on."""
        from parity.probes import checks

        harness = self.harness(question.case)
        with self.ledger.spend(FRAMEWORKS):
            judgements, events = checks.ONCE[question.probe](harness)
        for event in (*events, *self._restarted(question)):
            self._add(event)
        self.conclude(question, judgements, harness.dataset.test.size)

    def _restarted(self, question: Planned) -> list[Event]:
        """What training costs that goes on in TensorFlow as the published workflow does it."""
        from parity.handover import trajectories

        asked = trajectories.asked(self.harness(question.case).case)
        if question.probe != FINETUNED or not asked or not self.planned:
            return []  # unplanned is what a fault is planted for
        with self.ledger.spend(TRAINING):
            return self._trajectories(question.case).restarted()

    def check_trajectory(self, question: Planned) -> None:
        """Hand training over, follow it, and record where it goes."""
        trajectories, way = self._trajectories(question.case), repeating.name(question)
        with self.ledger.spend(TRAINING):
            if any((q.case, q.probe) == (question.case, RESUMPTION) for q in self.planned):
                trajectories.begin_interruption()
            judgements, events = trajectories.judgements(way), trajectories.records(way)
        for event in events:
            self._add(event)
        self.conclude(question, judgements, question.batch_size)

    def check_resumption(self, question: Planned) -> None:
        """Interrupt training that was handed over, and resume it."""
        with self.ledger.spend(TRAINING):
            judgements = self._trajectories(question.case).resumption()
        self.conclude(question, judgements, question.batch_size)

    def check_endurance(self, question: Planned) -> None:
        """Hand training over from several seeds, and follow it to its end."""
        from parity.handover import endurance

        with self.ledger.spend(TRAINING):
            judgements, events = endurance.judgements(self.harness(question.case).case, self.ledger)
        for event in events:
            self._add(event)
        self.conclude(question, judgements, question.batch_size)

    def _trajectories(self, case: str) -> Trajectories:
        from parity.handover import trajectories

        if case not in self._followed:
            self._followed[case] = trajectories.Trajectories(self.harness(case))
        return self._followed[case]

    @cached_property
    def latencies(self) -> Latencies:
        """Times steps, and records how long they take."""
        from parity.latency import Effort
        from parity.latency.asking import Latencies

        effort = self._effort or Effort()
        return Latencies(self.selection.cases, self.planned, self.harness, effort, self.ledger, self._add)

    def record_error(self, question: Planned, error: BaseException) -> None:
        """Record that a question ended in `error`, unless its checks are recorded."""
        if any(check.item == question.item for check in self.run.checks):
            return
        status = getattr(error, "status", records.ERROR)
        message = str(error) or type(error).__name__
        if question.probe not in OF_NO_CASE and question.tf_device != NO_DEVICE:
            message = "\n".join(filter(None, (message, self.harness(question.case).unmended)))
        failure = Failure(CRASH, message) if status == records.CRASH else classify(f"{type(error).__name__}: {error}")
        self._add(self._settled(Check(
            **dataclasses.asdict(question), leaf="*", status=status, failure=failure.kind, evidence=failure.evidence,
            message=message, repeat=self.repeat(question),
        )))  # fmt: skip

    def error_text(self, question: Planned, error: ParityError) -> str:
        """What pytest shows of an error."""
        return f"{question.item}: {error}\nrepeat: {self.repeat(question)}"

    def repeat(self, question: Planned) -> str:
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
        for harness in self._harnesses.values():
            harness.close()
        if self._listener is not None:
            self._listener.stop()
        self.run.state, self.run.ended_at, self.run.spent_s = state, records.now(), self.ledger.totals()
        if self._recorder is not None and self._out is not None:
            from parity import report

            self._recorder.seal(state, self.ledger.totals())
            self._report = report.write([self.run], self._out / "index.html")

    def _profile(self) -> None:
        """Record how far off the worst leaves are, and where; what is asked again is booked as it was."""
        from parity.probes import profiles

        for harness in self._harnesses.values():
            for found in profiles.of_case(harness, self.run.checks):
                self._add(found)

    def summary(self, width: int) -> list[str]:
        """What the terminal shows at the end."""
        return summary.of(self.run, width, self._report)


def _skipped(harness: Harness, question: Planned, judgements: list[Judgement]) -> list[Judgement]:
    """A judgement on every leaf that has none: of JAX's answer, and of the parameters that have a gradient."""
    from parity.scoring.judging import Judgement

    seen = {judgement.leaf for judgement in judgements}
    return [
        Judgement(leaf, records.MISSING, message="was not judged")
        for leaf in harness.leaves(question.probe, question.batch_size)
        if leaf not in seen
    ]
