"""One run of the suite: which questions are asked, what was found, and what is said about it."""

from __future__ import annotations

import copy
import dataclasses
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from parity import deprecations, environment, handshake, known_issues, records, summary
from parity.case import PROBES, TEST_SET, Case
from parity.errors import ParityError
from parity.failures import CRASH, NUMERIC, Failure, classify
from parity.judging import LIMIT
from parity.ledger import FRAMEWORKS, IMPORTING, Ledger
from parity.records import NO_DEVICE, Check, Deprecation, Planned, Program, Recorder, Remedy, Run
from parity.runtimes import EVALUATION_OF, JAX, JAX_FLOAT64, TF_GRAPH, VIRTUAL_CPUS
from parity.selection import BESIDE, CANARIES, OPERATIONS, RELATIONS, Selection, not_installed

if TYPE_CHECKING:
    from parity.harness import Harness
    from parity.judging import Judgement
    from parity.power import PowerStudy

POWER = "power"
WITH_OPERATIONS = "reference"
"""The case beside which single operations are asked: they are about the pair of releases, not about a case."""
ON_OTHER_DEVICES = ("predict", "train_gradient")
SIZES_ON_OTHER_DEVICES = (13, 256)
"""One odd, one even: enough to see a device go wrong, and each further size is compiled anew on every runtime."""
FIRST = ("cpu:0", "cpu:0")


class Examination:
    """Keeps what a run needs: a harness per case, the record, and the clock."""

    def __init__(self, selection: Selection, cell: str, out: Path | None, ledger: Ledger) -> None:
        self.selection = selection
        self.ledger = ledger
        self.run = Run(cell=cell, started_at=records.now(), environment={})
        self.planned: list[Planned] = []
        self.left_out: dict[str, str] = {}
        self._out = out
        self._recorder: Recorder | None = None
        self._harnesses: dict[str, Harness] = {}
        self._studies: dict[str, PowerStudy] = {}
        self._prepared: set[str] = set()
        self._modules: dict[str, str] = {}
        self._foretold: dict[str, handshake.Prediction] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._report: Path | None = None
        self._listener: deprecations.Listener | None = None

    def questions(self, function: str) -> list[Planned]:
        """The questions that the test function `test_<probe>` asks."""
        probe = function.removeprefix("test_")
        if probe == OPERATIONS:
            return self._operations(function)
        cases = self.selection.cases.values()
        return [q for case in cases for q in self._questions(function, probe, case, self._sizes(case))]

    def _operations(self, function: str) -> list[Planned]:
        select = self.selection
        if OPERATIONS not in select.probes or TF_GRAPH not in select.runtimes or WITH_OPERATIONS not in select.cases:
            return []
        self.import_frameworks()
        from parity.operations import OPERATIONS as NAMED

        return [
            Planned(f"{function}[{name}]", OPERATIONS, OPERATIONS, TF_GRAPH, operation.shape[0], *FIRST)
            for name, operation in NAMED.items()
        ]

    def _sizes(self, case: Case) -> tuple[int, ...]:
        """The selected batch sizes; of the default ones, those that the test set of `case` can fill."""
        selected = self.selection.sizes
        if not self.selection.default_sizes:
            return selected
        self.import_frameworks()
        try:
            most = self.harness(case.name).dataset.test.size
        except ParityError:
            return selected  # an error of every question, when it is asked
        left_out = ", ".join(str(size) for size in selected if size > most)
        if left_out:
            self.left_out[case.name] = f"{case.name}: batch size {left_out} left out, the test set has {most} examples"
        return tuple(size for size in selected if size <= most)

    def _questions(self, function: str, probe: str, case: Case, sizes: tuple[int, ...]) -> list[Planned]:
        select = self.selection

        def planned(ident: str, asked: str, runtime: str, size: int, devices: tuple[str, str]) -> Planned:
            return Planned(f"{function}[{ident}]", case.name, asked, runtime, size, *devices)

        if probe == POWER:
            return [
                planned(f"{case.name}-{p}-{_size_id(size)}", p, JAX_FLOAT64, size, (FIRST[0], NO_DEVICE))
                for p in case.probes if p in select.probes and JAX_FLOAT64 in select.runtimes
                for size in sizes
            ]  # fmt: skip
        if probe in (RELATIONS, CANARIES):
            return [
                planned(f"{case.name}-{name}-{runtime}", probe, runtime, _several_rows(sizes), _first(runtime))
                for name, runtime in self._beside(case, probe)
            ]
        if probe in PROBES and (probe not in case.probes or probe not in select.probes):
            return []
        if probe in PROBES:
            return [
                planned(_ident(case.name, runtime, size, pair), probe, runtime, size, pair)
                for runtime in select.runtimes
                for pair in _of_runtime(runtime, self._pairs(probe))
                for size in _sizes(sizes, pair)
            ]
        about = next(name for name in BESIDE if probe.startswith(name))
        chosen = about in select.probes and BESIDE[about] in select.runtimes
        return [planned(case.name, about, BESIDE[about], TEST_SET, _first(BESIDE[about]))] if chosen else []

    def _beside(self, case: Case, about: str) -> list[tuple[str, str]]:
        """The relations or the canaries of a case, by name and runtime."""
        if about not in self.selection.probes:
            return []
        self.import_frameworks()
        from parity import canaries, relations

        return {RELATIONS: relations, CANARIES: canaries}[about].asked(case.probes, self.selection.runtimes)

    def _pairs(self, probe: str) -> list[tuple[str, str]]:
        if probe not in ON_OTHER_DEVICES:
            return [FIRST]
        return [FIRST, *((f"cpu:{i}", f"cpu:{i}") for i in range(1, VIRTUAL_CPUS)), *self._gpu_pairs()]

    def _gpu_pairs(self) -> list[tuple[str, str]]:
        """Where either framework sees a GPU: GPU against GPU, and each against the other's CPU."""
        self.import_frameworks()
        from parity import artifact
        from parity.runtimes import jax

        return gpu_pairs(jax.devices(), artifact.devices())

    def import_frameworks(self) -> None:
        """Import both frameworks and give each its virtual CPUs, before either starts."""
        if "versions" in self.run.environment:
            return
        with self.ledger.spend(IMPORTING), deprecations.listening(self.deprecated):
            try:
                from parity import artifact, harness, reader, writer
                from parity.runtimes import jax
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
        self.run.environment["left_out"] = list(self.left_out.values())
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
        other.planned, other._seen, other._studies, other._prepared = [], set(), {}, {harness.case.name}
        other._harnesses = {harness.case.name: harness}
        return other

    def harness(self, case: str) -> Harness:
        """The harness of a case."""
        if case not in self._harnesses:
            from parity.harness import Harness
            from parity.progress import Bar

            [found] = [c for c in self.selection.cases.values() if c.name == case]
            self._harnesses[case] = Harness(found, self.ledger, Bar())
        return self._harnesses[case]

    def prepare(self, question: Planned) -> None:
        """Train and export the case of `question`, with a progress bar, unless that is done."""
        if question.probe == OPERATIONS:
            return
        harness = self.harness(question.case)
        from parity import checks

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
        from parity import writer

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
        if question.probe == OPERATIONS:
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
        remedy = self.harness(case).remedy
        if remedy is None:
            return None
        remedy = replace(remedy, evidence=self._foretold[case].completed(remedy.failure, remedy.evidence))
        if remedy not in self.run.remedies:
            self._add(remedy)
        return remedy

    def check_operation(self, question: Planned) -> None:
        """Judge one operation, as exported by default or with the remedy."""
        from parity import operations

        name = _id(question)
        version = self.run.environment["versions"]["tensorflow"]
        self.conclude(question, [operations.judgement(name, version)], question.batch_size)

    def check_relation(self, question: Planned) -> None:
        """Judge one relation of a runtime's answers to each other."""
        from parity import relations

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        self.conclude(question, relations.judgements(_name(question), harness, question.runtime, size), size)

    def check_canary(self, question: Planned) -> None:
        """Plant a defect, and record whether the harness sees it."""
        from parity import canaries

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        found = canaries.judgement(_name(question), harness, self._study(question.case), question.runtime, size)
        self.conclude(question, [found], size)

    def _study(self, case: str) -> PowerStudy:
        from parity import power

        if case not in self._studies:
            self._studies[case] = power.PowerStudy(self.harness(case))
        return self._studies[case]

    def check_power(self, question: Planned) -> None:
        """Record what the probe would catch, and fail the test if that is nothing."""
        from parity import power

        harness = self.harness(question.case)
        size = harness.batch(question.batch_size).size
        powers = self._study(question.case).of(question.probe, size)
        for found in powers:
            self._add(found)
        self.conclude(question, [power.judge(question.probe, powers)], size)

    def check_case(self, question: Planned) -> None:
        """Check what is checked once per case: its training, the artifact, or training that goes on."""
        from parity import checks

        harness = self.harness(question.case)
        judgements, curves = checks.ONCE[question.probe](harness)
        for curve in curves:
            self._add(curve)
        self.conclude(question, judgements, harness.dataset.test.size)

    def record_error(self, question: Planned, error: BaseException) -> None:
        """Record that a question ended in `error`, unless its checks are recorded."""
        if any(check.item == question.item for check in self.run.checks):
            return
        status = getattr(error, "status", records.ERROR)
        message = str(error) or type(error).__name__
        if question.probe != OPERATIONS and question.tf_device != NO_DEVICE:
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
        target = f"{self._modules.get(question.item, 'parity.suites')}::{question.item}"
        options = [f"--parity-case={n}" for n, c in self.selection.cases.items() if c.name == question.case]
        extra = [] if options == ["--parity-case=reference"] else options
        return shlex.join([*_python(), "-m", "pytest", "--pyargs", target, *extra])

    def finish(self, state: str) -> None:
        """End processes, seal the record, and write the report."""
        for harness in self._harnesses.values():
            harness.close()
        if self._listener is not None:
            self._listener.stop()
        self.run.state, self.run.ended_at, self.run.spent_s = state, records.now(), self.ledger.totals()
        if self._recorder is not None and self._out is not None:
            from parity import report

            self._recorder.seal(state, self.ledger.totals())
            self._report = report.write([self.run], self._out / "index.html")

    def summary(self, width: int) -> list[str]:
        """What the terminal shows at the end."""
        return summary.of(self.run, width, self._report)


def _skipped(harness: Harness, question: Planned, judgements: list[Judgement]) -> list[Judgement]:
    """A judgement on every leaf that has none: of JAX's answer, and of the parameters that have a gradient."""
    from parity.judging import Judgement

    seen = {judgement.leaf for judgement in judgements}
    return [
        Judgement(leaf, records.MISSING, message="was not judged")
        for leaf in harness.leaves(question.probe, question.batch_size)
        if leaf not in seen
    ]


def _id(question: Planned) -> str:
    return question.item.partition("[")[2].removesuffix("]")


def _name(question: Planned) -> str:
    """The relation or canary in an id, which reads case-name-runtime; none of the three has a hyphen."""
    return _id(question).split("-")[1]


def _python() -> list[str]:
    """This interpreter as seen from the current folder; by name alone where it lies elsewhere."""
    here, python = Path.cwd(), Path(sys.executable)
    return [str(python.relative_to(here))] if python.is_relative_to(here) else ["python"]


def gpu_pairs(on_jax: list[str], on_tf: list[str]) -> list[tuple[str, str]]:
    """GPU against GPU and each against the other's CPU, for the devices that the two frameworks see."""
    gpus = [[device for device in seen if device.startswith("gpu")][:1] for seen in (on_jax, on_tf)]
    return [(j, t) for j in (*gpus[0], FIRST[0]) for t in (*gpus[1], FIRST[1]) if (j, t) != FIRST]


def _of_runtime(runtime: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """JAX's runtimes run on JAX's device of each pair, once."""
    if runtime not in (JAX, JAX_FLOAT64):
        return pairs
    return [(device, NO_DEVICE) for device in dict.fromkeys(j for j, _ in pairs)]


def _sizes(selected: tuple[int, ...], pair: tuple[str, str]) -> tuple[int, ...]:
    if _is_first(pair):
        return selected
    return tuple(size for size in selected if size in SIZES_ON_OTHER_DEVICES) or selected


def _is_first(pair: tuple[str, str]) -> bool:
    return pair in (FIRST, (FIRST[0], NO_DEVICE))


def _first(runtime: str) -> tuple[str, str]:
    return (FIRST[0], NO_DEVICE) if runtime in (JAX, JAX_FLOAT64) else FIRST


def _several_rows(sizes: tuple[int, ...]) -> int:
    """The smallest of the batch sizes that has rows to tell apart; the whole test set if none has."""
    return min((size for size in sizes if size > 1), default=TEST_SET)


def _size_id(size: int) -> str:
    return "btest" if size == TEST_SET else f"b{size}"


def _ident(case: str, runtime: str, size: int, pair: tuple[str, str]) -> str:
    parts = [case, runtime, _size_id(size)]
    if not _is_first(pair):
        parts.append("_".join(dict.fromkeys(d.replace(":", "") for d in pair if d != NO_DEVICE)))
    return "-".join(parts)
