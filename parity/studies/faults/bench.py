"""The bench: one trained case and one reloaded artifact, honest until a fault is planted, and the suite to ask."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity import suites
from parity.cases.case import Case, State
from parity.cases.training import leaf_name
from parity.core.errors import StorageError
from parity.export import artifact
from parity.export import conversion as export
from parity.export.bundles import Signature
from parity.probes.power import PowerStudy
from parity.records import COMPLETE, NO_DEVICE, PlanItem, Run
from parity.runtimes import JAX, JAX_FLOAT64, SAVED_MODEL
from parity.runtimes._tensorflow import Questioned
from parity.runtimes.preparation import FIRST_CPU
from parity.runtimes.saved_model import Runtime
from parity.runtimes.subject import Subject
from parity.scoring.rules import LIMIT
from parity.session.examination import Examination
from parity.studies.faults import HARNESS, Fault

FUNCTIONS = ("predict", "accuracy", "eval_loss", "train_loss")
"""Of the exported module."""

OF_FILES = ("two_loads", "saved_again")
"""Relations to the file, which a fault in what was loaded from it would break for no reason of its own."""

Values = dict[str, np.ndarray]
"""The values of the artifact's variables by leaf name, the key as `rng`."""


class Bench:
    """Where faults are planted, one at a time.

    Args:
        examination: of one case, at the batch sizes that are asked.
        subject: that case's, trained and exported.

    Attributes:
        subject: what the suite asks next; replaced before each fault.
        module: the reloaded artifact, which all faults share.
        moved: by weight tensor, the relative error (L2) that the planted fault gives it; with other variables `None`.
    """

    def __init__(self, examination: Examination, subject: Subject) -> None:
        self._examination, self._honest = examination, subject.anew()
        # One epoch in TensorFlow, for the faults in training that goes on there.
        self._honest.case = replace(subject.case, training=replace(subject.case.training, epochs_after=1))
        self.subject = self._honest
        self.moved: dict[str, float | None] = {}
        self.case, self.state = subject.case, subject.trained.state
        for name in (JAX, JAX_FLOAT64, SAVED_MODEL):  # what they compile is then compiled once for all faults
            self._honest.runtime(name)
        self._model = self._honest.runtime(SAVED_MODEL).model
        self.module = artifact.load(self._model.require_bundle() / "saved_model")
        self._questioned = Questioned(self.module, self._model, artifact.graph)
        leaves = self._model.signature.state
        self._trainable = {s.leaf for s in leaves if s.trainable}
        self.variables = dict(zip((s.leaf for s in leaves), self.module.state_vars, strict=True))
        self.variables["rng"] = self.module.rng
        self._begin()

    @cached_property
    def before_training(self) -> Values:
        """The values that training began from."""
        initial = self._honest.trained.initial
        trees = (initial.params, initial.other)
        flat = [pair for tree in trees for pair in export.jax.tree_util.tree_flatten_with_path(tree)[0]]
        return {leaf_name(path): np.asarray(value) for path, value in flat}

    @cached_property
    def study(self) -> PowerStudy:
        """The power of the probes of the honest case."""
        return PowerStudy(self._honest)

    def honest(self, questions: list[PlanItem]) -> Run:
        """Ask the questions with nothing planted; the record."""
        self._begin()
        return self._put(questions)

    def ask(self, fault: Fault, quick: bool = False) -> Run:
        """Plant `fault`, ask what is asked about it, through the suite's own tests, and undo it; the record."""
        self._begin()
        with fault.plant(self):
            return self._put(self.questions(fault, quick))

    def _begin(self) -> None:
        self.subject, self.moved = self._honest.anew(), {}
        self._questioned.reset()  # a question that failed halfway has left variables as they were then
        self._use(self._questioned)

    def _put(self, questions: list[PlanItem]) -> Run:
        examination = self._examination.anew(self.subject)
        examination.run.plan = questions
        for question in questions:
            try:
                tests()[question.item.partition("[")[0]](examination, question)
            except pytest.fail.Exception:
                pass  # it is in the record
            except StorageError:
                raise
            except Exception as error:
                examination.record_error(question, error)
        examination.run.state = COMPLETE
        return examination.run

    @property
    def signature(self) -> Signature:
        """The honest artifact's."""
        return self._model.signature

    def questions(self, fault: Fault, quick: bool = False) -> list[PlanItem]:
        """Return the checks of a fault: of the reloaded artifact, or of everything for a fault in parity itself.

        The quick form leaves out the other batch sizes of all but predictions.
        """
        asked = [q for name in fault.asks for q in self._examination.asked.of(f"test_{name}")]
        sizes = self._examination.selection.sizes
        wanted = fault.sizes or sizes
        return [
            q for q in asked
            if {q.jax_device, q.tf_device} <= {FIRST_CPU, NO_DEVICE}
            and (q.runtime == SAVED_MODEL or fault.group == HARNESS)
            and (q.batch_size in wanted or q.batch_size not in sizes)
            and not any(name in q.item for name in OF_FILES)
            and (q.probe in fault.asks or not q.item.startswith("test_power"))
            and not (quick and q.probe != "predict" and q.batch_size in sizes[1:])
        ]  # fmt: skip

    @property
    def limit(self) -> float:
        """The limit for the score."""
        return self.case.limit.score if self.case.limit else LIMIT

    def _use(self, questioned: Questioned) -> None:
        runtime = Runtime(self._model)
        runtime.questioned[FIRST_CPU] = questioned
        self.subject.use(SAVED_MODEL, runtime)

    def remember(self) -> None:
        """Take the variables' values for those that the artifact was loaded with."""
        self._questioned.remember()

    @contextmanager
    def assigned(self, change: Callable[[Values, Bench], None]) -> Iterator[None]:
        """Variables of the reloaded artifact changed: `change` replaces values, or writes into them."""
        before = {leaf: variable.numpy() for leaf, variable in self.variables.items()}
        values = {leaf: value.copy() for leaf, value in before.items()}
        change(values, self)
        for leaf, value in values.items():
            if value.tobytes() != before[leaf].tobytes():
                self.moved[leaf] = _relative(value, before[leaf]) if leaf in self._trainable else None
                self.variables[leaf].assign(value)
        assert self.moved, "the fault changed nothing"
        self.remember()
        try:
            yield
        finally:
            for leaf, variable in self.variables.items():  # all of them: what failed halfway has left others changed
                variable.assign(before[leaf])
            self.remember()

    def exported(self, case: Case, functions: tuple[str, ...], batch_size: int | None = None) -> Any:
        """Functions of another case over the artifact's own variables; for any batch size, or for one."""
        module = export.Exported(case, self.state, artifact.graph, functions, batch_size)
        module.state_vars, module.rng = self.module.state_vars, self.module.rng
        return module

    @contextmanager
    def replaced(self, functions: dict[str, Callable[..., Any]]) -> Iterator[None]:
        """Functions of the artifact replaced; the others stay, with what is compiled of them."""
        kept = {name: getattr(self.module, name) for name in FUNCTIONS}
        module = SimpleNamespace(state_vars=self.module.state_vars, rng=self.module.rng, **{**kept, **functions})
        questioned = Questioned(module, self._model, artifact.graph)
        if "eval_loss" not in functions:
            questioned.evaluate = self._questioned.evaluate
        if "train_loss" not in functions:
            questioned.train = self._questioned.train
        self._use(questioned)
        yield

    @contextmanager
    def signed(self, signature: Signature) -> Iterator[None]:
        """Give the artifact another signature."""
        subject = replace(self._model, signature=signature)
        self._use(Questioned(self.module, subject, artifact.graph))
        yield

    @contextmanager
    def rewritten(self, edit: Callable[[Path, Bench], None]) -> Iterator[None]:
        """Copy the bundle, and edit the files of the copy."""
        folder = Path(tempfile.mkdtemp(prefix="parity-fault-"))
        try:
            bundle = folder / "bundle"
            shutil.copytree(self._model.require_bundle(), bundle)
            edit(bundle, self)
            self.subject.use_bundle(bundle)
            yield
        finally:
            self.subject.close()
            shutil.rmtree(folder, ignore_errors=True)

    def export_before_training(self, bundle: Path, *models: str) -> None:
        """SavedModels of the bundle replaced by those that an export before the training would have written."""
        self._export(bundle, self._honest.trained.initial, *models)

    def export_again(self, bundle: Path, *models: str) -> None:
        """SavedModels of the bundle replaced by those of an export now."""
        self._export(bundle, self.state, *models)

    def _export(self, bundle: Path, state: State, *models: str) -> None:
        export.save(self.case, state, bundle / "again", self._model.readable_by)
        for model in models:
            take_place(bundle / "again" / model, bundle / model)


def take_place(new: Path, old: Path) -> None:
    """Put the folder `new` in place of `old`."""
    shutil.rmtree(old)
    new.rename(old)


def _relative(value: np.ndarray, before: np.ndarray) -> float:
    wide = before.astype(np.float64)
    return float(np.linalg.norm(value - wide) / np.linalg.norm(wide))


@cache
def tests() -> dict[str, Callable[[Examination, PlanItem], None]]:
    """The suite's test functions by name."""
    modules = [importlib.import_module(f"{suites.__name__}.{m.name}") for m in pkgutil.iter_modules(suites.__path__)]
    return {name: value for m in modules for name, value in vars(m).items() if name.startswith("test_")}
