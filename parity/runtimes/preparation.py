"""What is under test: a case trained in JAX and exported, each once, and its runtimes opened."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from parity.cases.case import TEST_SET, Case, Dataset
from parity.cases.pipeline import Pipeline
from parity.cases.specs import Batch
from parity.cases.training import Trained, train
from parity.core.environment import versions
from parity.core.errors import CaseError, InputError, ParityError, RuntimeFailureError
from parity.core.failures import REMEDIABLE, Failure, classify
from parity.core.ledger import FRAMEWORKS, TRAINING, Ledger
from parity.core.progress import Report, silent
from parity.export import conversion as export
from parity.records import PlanItem, Remedy
from parity.runtimes import (
    EVALUATION_OF,
    JAX,
    JAX_FLOAT64,
    SAVED_MODEL,
    BaseRuntime,
    Model,
    Request,
    failures,
    open_runtime,
)

FIRST_CPU = "cpu:0"

T = TypeVar("T")


class outcome(cached_property[T]):  # noqa: N801 - used like the property that it extends
    """A cached property whose failure is kept as well, and raised again instead of trying again."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The value, or the failure."""
        if instance is None:
            return self
        failures = instance.__dict__.setdefault("_failures", {})
        if self.attrname in failures:
            raise failures[self.attrname].with_traceback(None)  # or it would grow each time
        try:
            return super().__get__(instance, owner)
        except ParityError as error:
            failures[self.attrname] = error
            raise


class Preparation:
    """A case on its way to being asked about.

    Args:
        case: the case.
        ledger: where its seconds are booked.
        progress: called after every training step.
        workdir: where the bundle is written; a temporary folder if None.
    """

    def __init__(self, case: Case, ledger: Ledger, progress: Report = silent, workdir: Path | None = None) -> None:
        self.case = case
        self._ledger, self._progress = ledger, progress
        self._workdir = workdir or Path(tempfile.mkdtemp(prefix="parity-"))
        self._temporary = workdir is None
        self.remedy: Remedy | None = None
        self.unmended: str | None = None
        self._runtimes: dict[str, BaseRuntime] = {}
        self._expected: dict[str, list[Request]] = {}
        self._batches: dict[int, Batch] = {}
        self._failures: dict[str, ParityError] = {}

    @outcome
    def dataset(self) -> Dataset:
        """The case's examples.

        Raises:
            CaseError: they cannot be had.
        """
        with self._ledger.spend(TRAINING):
            try:
                return self.case.dataset()
            except ParityError:
                raise
            except Exception as error:
                raise CaseError(f"case {self.case.name!r}: dataset raised {type(error).__name__}: {error}") from error

    @outcome
    def pipeline(self) -> Pipeline:
        """The input pipeline over the training examples."""
        return Pipeline(self.dataset.train, self.case.training)

    @outcome
    def trained(self) -> Trained:
        """The case, trained in JAX.

        Raises:
            CaseError: the case is not what its specs say.
            InputError: its examples do not fill them.
        """
        with self._ledger.spend(TRAINING):
            return train(self.case, self.dataset, self.pipeline, self._progress)

    @outcome
    def bundle(self) -> Path:
        """The case, exported with its examples, and without answers.

        Where TensorFlow cannot run the default export, for a reason that a remedy mends, exported under that.
        """
        path = None
        try:
            path = self._export(None)
            failed = self._tried(path)
        except RuntimeFailureError as error:
            failed = [error]
        mendable = [f for f in (classify(str(error)) for error in failed) if f.kind in REMEDIABLE]
        mended = self._remedied(mendable[0]) if mendable else None
        found = mended or path  # what of the default export fails, and what does not, is for the checks to say
        if found is None:
            raise failed[0]
        return found

    def _remedied(self, failure: Failure) -> Path | None:
        requirement = f"tensorflow=={versions()['tensorflow']}"
        try:
            mended = self._export(requirement)
        except ParityError as error:
            self.unmended = f"no remedy: {error}"  # the failure of the default export says more, and stays
            return None
        self.remedy = Remedy(self.case.name, requirement, failure.kind, failure.evidence)
        return mended

    def _export(self, readable_by: str | None) -> Path:
        trained, path = self.trained, self._workdir / (f"{self.case.name}-remedied" if readable_by else self.case.name)
        sizes = {r.batch_size for requests in self._expected.values() for r in requests} | set(self._batches)
        with self._ledger.spend(FRAMEWORKS):
            batches = {size: self.batch(size) for size in sorted(sizes)}
            export.write_bundle(path, self.case, trained.state, batches, lambda folder: None, readable_by)
        return path

    def _tried(self, path: Path) -> list[RuntimeFailureError]:
        """How TensorFlow fails on the bundle at `path`, asked once for everything that will be asked of it."""
        expected = {r.evaluation for requests in self._expected.values() for r in requests}
        runtime = open_runtime(SAVED_MODEL, self._model(path, None))
        batch = min(self._batches.values(), key=lambda batch: batch.size, default=None) or self.batch(1)
        with self._ledger.spend(FRAMEWORKS):
            found = failures(runtime, expected or {EVALUATION_OF["predict"]}, batch, FIRST_CPU)
        if not found:
            self._runtimes[SAVED_MODEL] = runtime  # what it has compiled is of use
        return found

    def _model(self, bundle: Path | None, readable_by: str | None) -> Model:
        return Model(
            export.signature(self.case, self.trained.state), self.case, self.trained.state, bundle, readable_by
        )

    def batch(self, size: int) -> Batch:
        """The first `size` examples of the test set; `TEST_SET` stands for all of it.

        Raises:
            InputError: there are not so many.
        """
        test = self.dataset.test
        size = test.size if size == TEST_SET else size
        if size not in self._batches:
            self._batches[size] = test.take(size)
        return self._batches[size]

    def batches(self) -> list[tuple[int, Batch]]:
        """The batches that the run asks about, by size."""
        return sorted(self._batches.items())

    def expect(self, questions: Iterable[PlanItem]) -> None:
        """Told beforehand what will be asked, so that a process of its own can work on it meanwhile."""
        for question in questions:
            try:
                size, device = self.batch(question.batch_size).size, own_device(question)
            except InputError:
                continue  # its own error when it is asked
            request = Request(EVALUATION_OF[question.probe], size, device)
            expected = self._expected.setdefault(question.runtime, [])
            if request not in expected:
                expected.append(request)

    def expected_sizes(self, runtime: str, evaluation: str) -> list[int]:
        """The batch sizes that `runtime` is asked an evaluation at, on its first device."""
        asked = self._expected.get(runtime, ())
        return sorted(r.batch_size for r in asked if (r.evaluation, r.device) == (evaluation, FIRST_CPU))

    def start(self) -> None:
        """Train, export, and let the runtimes that work in their own process begin."""
        for name in self._expected:
            self.runtime(name)

    def runtime(self, name: str) -> BaseRuntime:
        """The runtime `name` about this case, trained and exported."""
        if name not in self._runtimes:
            bundle = None if name in (JAX, JAX_FLOAT64) else self.bundle
            opened = open_runtime(name, self._model(bundle, self.remedy.requirement if self.remedy else None))
            self._runtimes.setdefault(name, opened)
            self._runtimes[name].expect(self._expected.get(name, ()))
        return self._runtimes[name]

    def close(self) -> None:
        """End processes and remove temporary files."""
        for runtime in self._runtimes.values():
            runtime.close()
        if self._temporary:
            shutil.rmtree(self._workdir, ignore_errors=True)


def own_device(question: PlanItem) -> str:
    """The device that a question is about on its runtime's side."""
    return question.jax_device if question.runtime in (JAX, JAX_FLOAT64) else question.tf_device
