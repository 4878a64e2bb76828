"""The subject: a case trained in JAX and exported, each once, with its runtimes opened."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from parity.core import memory
from parity.core.cached import Cached
from parity.core.errors import InputError, RuntimeFailureError
from parity.core.ledger import FRAMEWORKS, TRAINING, TimeLedger
from parity.core.progress import Report, silent
from parity.records import PlanItem, Remedy
from parity.runtimes import estimates, exporting, precision, registry
from parity.runtimes.base import (
    ARTIFACT,
    CANDIDATE,
    EVALUATION_OF,
    FIRST_CPU,
    Capabilities,
    Model,
    Request,
    Runtime,
    narrowed,
)
from parity.runtimes.recent import Question, RecentAnswers, digest_of_batch
from parity.runtimes.reference import ReferenceAnswers

if TYPE_CHECKING:
    from parity.cases.case import Case, Dataset, State
    from parity.cases.pipeline import Pipeline
    from parity.cases.specs import Answer, Batch
    from parity.cases.training import Trained
    from parity.export.interface import Interface
    from parity.runtimes.by_probe import ByProbe
    from parity.scoring.rules import Budget

T = TypeVar("T")


class Subject:
    """A case under test. Its dataset, training, export, runtimes and reference answers are each made once.

    Args:
        case: the case.
        ledger: where its seconds are booked.
        progress: called after every training step.
        workdir: where the bundle is written; a temporary folder if None.
        dataset, pipeline, trained, bundle: parts that are there already, instead of being made.
        runtimes: runtimes that are open already, by name.

    Attributes:
        slow: what to tell the user where the first evaluations took long; None where they did not, or were not made.
        observer: sees every scored evaluation while its answers are there; see `parity.probes.profiles.WorstLeaves`.
            A copy has none.
    """

    def __init__(
        self,
        case: Case,
        ledger: TimeLedger,
        progress: Report = silent,
        workdir: Path | None = None,
        *,
        dataset: Dataset | None = None,
        pipeline: Pipeline | None = None,
        trained: Trained | None = None,
        bundle: Path | None = None,
        runtimes: Mapping[str, Runtime] | None = None,
    ) -> None:
        self.case, self.ledger = case, ledger
        self.progress = progress
        self._workdir, self._temporary = workdir, workdir is None
        self.remedy: Remedy | None = None
        self.no_remedy: str | None = None
        self._dataset = Cached(lambda: self._make_dataset() if dataset is None else dataset)
        self._pipeline = Cached(lambda: self._make_pipeline() if pipeline is None else pipeline)
        self._initial = Cached(self._begin)
        self._trained = Cached(lambda: self._train() if trained is None else trained)
        self._exported = Cached(lambda: exporting.exported_by_user(self))
        self._interface = Cached(self._plan_interface)
        self._bundle = Cached(lambda: self._export_and_try() if bundle is None else bundle)
        self._runtimes: dict[str, Runtime] = dict(runtimes or {})
        self._given = frozenset(self._runtimes)
        self._announced: dict[str, list[Request]] = {}
        self._batches: dict[int, Batch] = {}
        self._resources: dict[Any, Any] = {}
        self._whole: Subject | None = None
        self._at: dict[tuple[tuple[str, int], ...], Subject] = {}
        self._recent = RecentAnswers()
        self.slow: str | None = None
        self.observer: Callable[..., None] | None = None
        self._dtypes: frozenset[str] | None = None
        self.reference = ReferenceAnswers(self)

    def limit_of(self, probe: str) -> float:
        """Return the largest score of a probe that passes; one that is derived from predictions has their limit."""
        from parity.scoring import rules

        own = self.case.limit.score if self.case.limit else None
        return rules.limit_of(own, probe if probe in rules.LIMITS else EVALUATION_OF.get(probe, probe))

    @property
    def dtypes(self) -> frozenset[str]:
        """The floating-point and complex dtypes in which the evaluations of the case compute."""
        return self._dtypes_of(self.trained)

    def _dtypes_of(self, trained: Trained) -> frozenset[str]:
        if self._dtypes is None:
            self._dtypes = precision.computed_dtypes(self.case, trained.state, self.dataset.test.take(self._least()))
        return self._dtypes

    @property
    def dataset(self) -> Dataset:
        """The case's examples.

        Raises:
            CaseError: the case's `dataset` raises.
        """
        return self._dataset.get()

    @property
    def pipeline(self) -> Pipeline:
        """The input pipeline over the training examples."""
        return self._pipeline.get()

    @property
    def initial(self) -> State:
        """The state before training of a case whose functions and examples are usable.

        Raises:
            CaseError: the case is not what its specs say.
            InputError: its examples do not fill them.
        """
        return self._initial.get()

    @property
    def trained(self) -> Trained:
        """The case, trained in JAX.

        Raises:
            CaseError: the case is not what its specs say.
            InputError: its examples do not fill them.
        """
        return self._trained.get()

    @property
    def bundle(self) -> Path:
        """The folder of the exported case with its examples, without answers.

        Exported under a remedy where TensorFlow cannot run the default export for a reason that the remedy mends.
        """
        return self._bundle.get()

    @property
    def exported(self) -> Path:
        """The folder of the user's own SavedModel, of a case that has one; their exporter is called after training.

        Raises:
            ParityError: there is none, or the exporter failed.
        """
        return self._exported.get()

    @property
    def interface(self) -> Interface | None:
        """What of the user's own artifact answers what; None where parity exports the case.

        Raises:
            CaseError: it is no artifact of this case.
            RuntimeFailureError: this TensorFlow cannot load it, or the exporter failed.
        """
        return self._interface.get()

    def _plan_interface(self) -> Interface | None:
        return self.interface_of(self.exported) if self.case.has_own_artifact else None

    def interface_of(self, folder: Path) -> Interface:
        """Return what of the SavedModel in `folder` answers what about this case."""
        from parity.export import user_artifact

        state, test = self.trained.state, self.dataset.test
        with self.ledger.spend(FRAMEWORKS):
            return user_artifact.interface_of(self.case, state, folder, test)

    def capabilities(self, runtime: str) -> Capabilities:
        """Return what a runtime can do about this case: of one that reads the artifact, what the artifact has."""
        return narrowed(registry.require(runtime).capabilities, self.interface)

    @property
    def workdir(self) -> Path:
        """The folder of this subject's files."""
        if self._workdir is None:
            self._workdir = Path(tempfile.mkdtemp(prefix="parity-"))
        return self._workdir

    def _make_dataset(self) -> Dataset:
        from parity.cases.training import examples

        with self.ledger.spend(TRAINING):
            return examples(self.case)

    def _make_pipeline(self) -> Pipeline:
        from parity.cases.pipeline import Pipeline

        return Pipeline(self.dataset.train, self.case.training)

    def _begin(self) -> State:
        from parity.cases.training import usable

        estimates.require_memory(self.case, (), 1, estimates.available_bytes())
        with self.ledger.spend(TRAINING):
            return usable(self.case, self.dataset)

    def _train(self) -> Trained:
        from parity.cases.training import train

        initial = self.initial
        asked = [registry.require(name).capabilities for name in self._announced]
        sizes = len({r.batch_size for requests in self._announced.values() for r in requests} | set(self._batches))
        estimates.require_memory(self.case, asked, max(sizes, 1), estimates.available_bytes())
        with self.ledger.spend(TRAINING):
            trained = train(self.case, self.dataset, self.pipeline, self.progress, initial=initial)
        for subject in (self, *self._at.values()):
            subject.case = precision.with_limit(self.case, self._dtypes_of(trained))
        return trained

    def _export_and_try(self) -> Path:
        requests = [request for requests in self._announced.values() for request in requests]
        further = {(b.size, b.lengths): b for other in self._at.values() for b in other._batches.values()}
        sizes = {request.batch_size for request in requests} | set(self._batches) or {self._least()}
        batches = {size: self.batch(size) for size in sorted(sizes)}
        made = exporting.export(self, requests, batches, list(further.values()))
        self.remedy, self.no_remedy, self.slow = made.remedy, made.no_remedy, made.slow
        if made.reader is not None:
            self._runtimes[registry.reader().name] = made.reader  # what it has compiled is used again
        if isinstance(made.found, RuntimeFailureError):
            raise made.found
        return made.found

    def _least(self) -> int:
        """Return the smallest batch size that the case allows."""
        from parity.cases import symbols

        return min(symbols.batch_sizes(self.case.constraints, self.dataset.test.sizes, self.dataset.test.size))

    def model(self, bundle: Path | None, readable_by: str | None) -> Model:
        """Return the trained case, exported to `bundle` under that remedy, as runtimes are opened on it."""
        from parity.cases.functions import flatten
        from parity.export import conversion

        state = self.trained.state
        return Model(conversion.signature(self.case, state), self.case, state, bundle, readable_by, flatten(state))

    def batch(self, size: int) -> Batch:
        """Return the first `size` examples of the test set, all of them for `TEST_SET` (0).

        Raises:
            InputError: there are not so many.
        """
        test = self.dataset.test
        size = size or test.size
        if size not in self._batches:
            self._batches[size] = test.take(size)
        return self._batches[size]

    def batches(self) -> list[tuple[int, Batch]]:
        """Return the batches of this run, by size."""
        return sorted(self._batches.items())

    def announce(self, items: Iterable[PlanItem]) -> None:
        """Announce the plan items that runtimes will answer, so that a separate process can start early."""
        from parity.cases import symbols

        for item in items:
            try:
                self.batch(item.batch_size)
                batch = self.at(symbols.read(item.sizes)).batch(item.batch_size)
                lengths = batch.lengths if item.sizes else ""
                request = Request(EVALUATION_OF[item.probe], batch.size, device_of(item), lengths)
            except InputError:
                continue  # raised again by the item's own test
            requests = self._announced.setdefault(item.runtime, [])
            if request not in requests:
                requests.append(request)

    @property
    def announced_runtimes(self) -> list[str]:
        """The names of the runtimes that will be asked."""
        return list(self._announced)

    def announced_sizes(self, runtime: str, evaluation: str) -> list[int]:
        """Return the batch sizes at which `runtime` computes an evaluation on its first device."""
        requests = self._announced.get(runtime, ())
        return sorted(r.batch_size for r in requests if (r.evaluation, r.device) == (evaluation, FIRST_CPU))

    def start(self) -> None:
        """Train, export, and open the announced runtimes, so that separate processes begin."""
        for name in self._announced:
            self.runtime(name)

    def runtime(self, name: str) -> Runtime:
        """Return the runtime `name`, opened on this case."""
        if self._whole is not None:
            return self._whole.runtime(name)
        if name not in self._runtimes:
            declared = registry.require(name)
            can = declared.capabilities
            converts = can.source == ARTIFACT or can.mode is not None  # converted functions need the same remedy
            bundle = self.bundle if converts else None
            if name not in self._runtimes:  # making the bundle may have opened it
                self._runtimes[name] = declared(self.model(bundle, self.remedy.requirement if self.remedy else None))
            self._runtimes[name].announce(self._announced.get(name, ()))
        return self._runtimes[name]

    def compute(self, runtime: str, evaluation: str, batch: Batch, device: str = FIRST_CPU) -> ByProbe[Answer]:
        """Return a runtime's answers about any batch, by probe, computed anew; nothing is kept."""
        opened = self.runtime(runtime)
        with self.ledger.spend(FRAMEWORKS):
            return opened.evaluate(evaluation, batch, device)

    def evaluate(
        self, runtime: str, evaluation: str, batch: Batch, device: str = FIRST_CPU, like: ByProbe[Answer] | None = None
    ) -> ByProbe[Answer]:
        """Return a runtime's answers about any batch, by probe; nobody may write to the arrays.

        They are not computed again where they are still there (see `parity.runtimes.recent`), or where their digest
        says that they are `like` to the bit.
        """
        question = Question(runtime, evaluation, device, digest_of_batch(batch))
        known = like if like is not None and self._recent.equal(question, like) else self._recent.answers(question)
        if known is None:
            known = self.compute(runtime, evaluation, batch, device)
            self._recent.keep(question, known)
        return known

    def answer(self, runtime: str, probe: str, batch: Batch) -> Answer:
        """Return a runtime's answer to one probe about any batch, empty where it has none; a small one is kept."""
        evaluation = EVALUATION_OF[probe]
        question = Question(runtime, evaluation, FIRST_CPU, digest_of_batch(batch))
        known = self._recent.answer(question, probe)
        return self.evaluate(runtime, evaluation, batch).get(probe, {}) if known is None else known

    def kept(self, runtime: str, evaluation: str, size: int, device: str = FIRST_CPU) -> ByProbe[Answer]:
        """Return the answers of JAX or the oracle at a batch size, computed once."""
        return self.reference.answers(runtime, evaluation, size, device)

    def budgets(self, evaluation: str, size: int) -> dict[str, dict[str, Budget]]:
        """Return the budgets by probe and leaf."""
        return self.reference.budgets(evaluation, size)

    def shared(self, make: Callable[[Subject], T]) -> T:
        """Return what `make` makes of this subject, made once and closed with it; such as a power study."""
        if make not in self._resources:
            self._resources[make] = make(self)
        found: T = self._resources[make]
        return found

    def at(self, sizes: Mapping[str, int]) -> Subject:
        """Return a copy whose examples have those sizes, with answers and budgets of its own; itself for none.

        The copy shares the training, the artifact and the runtimes, and is closed with this subject.
        """
        if not sizes:
            return self
        from parity.cases import symbols

        key = tuple(sorted(sizes.items()))
        if key not in self._at:
            test = self.dataset.test.sliced(sizes)
            other = self._copy()
            other._whole, other._batches, other._announced = self, {}, {}
            if self.observer is not None:
                other.observer = partial(self.observer, variant=symbols.written(sizes))
            other._dataset = Cached(lambda: replace(self.dataset, test=test))
            other.reference = ReferenceAnswers(other)
            self._at[key] = other
        return self._at[key]

    def with_runtimes(self, runtimes: Mapping[str, Runtime]) -> Subject:
        """Return a copy in which `runtimes` answer under their names; its cache lacks the answers of those."""
        other = self._copy()
        other._runtimes |= runtimes
        other._given = self._given | frozenset(runtimes)
        other.reference = self.reference.without(runtimes, other)
        return other

    def with_parts(
        self, *, case: Case | None = None, bundle: Path | None = None, trained: Trained | None = None,
        keep_answers: bool = True,
    ) -> Subject:  # fmt: skip
        """Return a copy with other parts.

        Args:
            case: another case with the same functions, such as one with another limit; None for the same.
            bundle: another bundle; whatever reads one is opened on it.
            trained: another training.
            keep_answers: whether the copy shares the answers and budgets that were computed before.
        """
        other = self._copy()
        other.case = case or self.case
        if bundle is not None:
            roles = {name: runtime.capabilities.role for name, runtime in self._runtimes.items()}
            other._bundle = Cached(lambda: bundle)
            other._runtimes = {name: self._runtimes[name] for name, role in roles.items() if role != CANDIDATE}
        if trained is not None:
            other._trained = Cached(lambda: trained)
        if not keep_answers:
            other.reference = ReferenceAnswers(other)
        return other

    def _copy(self) -> Subject:
        other = Subject(self.case, self.ledger, self.progress, self._workdir)
        other._temporary = False
        other.remedy, other.no_remedy = self.remedy, self.no_remedy
        other._dataset, other._pipeline, other._initial = self._dataset, self._pipeline, self._initial
        other._trained, other._bundle = self._trained, self._bundle
        other._exported, other._interface = self._exported, self._interface
        other._runtimes, other._batches = dict(self._runtimes), dict(self._batches)
        other._given = self._given
        other._announced, other._dtypes = self._announced, self._dtypes
        other.reference = self.reference.without((), other)
        return other

    def release(self) -> None:
        """Forget the answers and runtimes of a copy that is not used again.

        A subject and its reference answers hold each other: without this their arrays would stay until Python looks for
        cycles.
        """
        self._resources.clear()
        self._at.clear()
        self._runtimes.clear()
        self._recent = RecentAnswers()
        self.reference = ReferenceAnswers(self)

    def make_room(self) -> None:
        """Close the runtimes that were opened here and forget answers; what is asked again is made again."""
        with ExitStack() as stack:  # one that cannot be closed keeps no other open
            stack.callback(memory.give_back)
            stack.callback(gc.collect)  # modules of TensorFlow are cycles
            for subject in (self, *self._at.values()):
                stack.callback(subject.close_resources)
                given = {name: runtime for name, runtime in subject._runtimes.items() if name in subject._given}
                for name in subject._runtimes.keys() - given.keys():
                    stack.callback(subject._runtimes[name].close)
                subject._runtimes = given
                subject._recent, subject.reference = RecentAnswers(), ReferenceAnswers(subject)
            self._at.clear()

    def close(self) -> None:
        """Close runtimes and resources, and remove temporary files."""
        for other in self._at.values():
            other.close_resources()
        self.close_resources()
        for runtime in self._runtimes.values():
            runtime.close()
        if self._temporary and self._workdir is not None:
            shutil.rmtree(self._workdir, ignore_errors=True)

    def close_resources(self) -> None:
        """Close what `shared` made, and forget it."""
        while self._resources:
            close = getattr(self._resources.popitem()[1], "close", None)
            if close is not None:
                close()


def device_of(item: PlanItem) -> str:
    """Return the device of a plan item on its runtime's side."""
    return item.tf_device if registry.require(item.runtime).capabilities.role == CANDIDATE else item.jax_device
