"""The bench: one trained case and one reloaded artifact, without a fault until one is planted, and the suite to ask."""

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
from parity.cases.functions import named
from parity.cases.specs import BATCH
from parity.core.errors import StorageError
from parity.export import artifact
from parity.export import conversion as export
from parity.export.bundles import Signature
from parity.probes import registry
from parity.probes.power import PowerStudy
from parity.records import COMPLETE, NO_DEVICE, PlanItem, Run
from parity.runtimes._module import ModuleOnDevice
from parity.runtimes.base import FIRST_CPU
from parity.runtimes.saved_model import SavedModel
from parity.runtimes.subject import Subject
from parity.session.asserting import call_test
from parity.session.run import RunSession
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

    def __init__(self, session: RunSession, subject: Subject) -> None:
        # One epoch in TensorFlow, for the faults in training that goes on there.
        case = replace(subject.case, training=replace(subject.case.training, epochs_after=1))
        self._session, self._sound = session, subject.with_parts(case=case)
        self.subject = self._sound
        self.moved: dict[str, float | None] = {}
        self.case, self.state = subject.case, subject.trained.state
        reference = self._sound.reference
        for name in (reference.jax, reference.oracle, SavedModel.name):  # compiled once, for all faults
            self._sound.runtime(name)
        self._model = self._sound.runtime(SavedModel.name).model
        self.module = artifact.load(self._model.require_bundle() / "saved_model")
        self._module_on_device = ModuleOnDevice(self.module, self._model, artifact.graph)
        leaves = self._model.signature.state
        self._trainable = {s.leaf for s in leaves if s.trainable}
        self.variables = dict(zip((s.leaf for s in leaves), self.module.state_vars, strict=True))
        self.variables["rng"] = self.module.rng
        self._begin()

    @cached_property
    def before_training(self) -> Values:
        """The values that training began from."""
        initial = self._sound.trained.initial
        return {**named(initial.params), **named(initial.other)}

    @cached_property
    def study(self) -> PowerStudy:
        """The power of the probes of the case without a fault."""
        return PowerStudy(self._sound)

    def sound(self, items: list[PlanItem]) -> Run:
        """Run the tests of plan items with no fault; return the record."""
        self._begin()
        return self._run(items)

    def run(self, fault: Fault, quick: bool = False) -> Run:
        """Plant `fault`, run the suite's own tests of its items, and undo it; return the record."""
        self._begin()
        with fault.plant(self):
            return self._run(self.items(fault, quick))

    def _begin(self) -> None:
        self.subject, self.moved = self._sound.with_parts(), {}
        self._module_on_device.reset()  # a test that failed halfway has left variables as they were then
        self._use(self._module_on_device)

    def _run(self, items: list[PlanItem]) -> Run:
        session = self._session.for_subject(self.subject)
        session.run.plan.extend(items)
        for item in items:
            try:
                call_test(tests()[item.test], session, item)
            except pytest.fail.Exception:
                pass  # it is in the record
            except StorageError:
                raise
            except Exception as error:
                session.record_error(item, error)
        session.run.state = COMPLETE
        return session.run

    @property
    def signature(self) -> Signature:
        """That of the artifact without a fault."""
        return self._model.signature

    def items(self, fault: Fault, quick: bool = False) -> list[PlanItem]:
        """Return the plan items of a fault: of the reloaded artifact, or, where parity itself is wrong, of everything.

        The quick form leaves out the other batch sizes of all but predictions.
        """
        planned = [item for name in fault.asks for item in self._session.planner.items(registry.probes()[name])]
        sizes = self._session.selection.sizes
        chosen = fault.sizes or sizes
        return [
            item for item in planned
            if {item.jax_device, item.tf_device} <= {FIRST_CPU, NO_DEVICE}
            and (item.runtime == SavedModel.name or fault.group == HARNESS)
            and (item.batch_size in chosen or item.batch_size not in sizes)
            and item.variant not in OF_FILES
            and (item.probe in fault.asks or item.test != "power")
            and not (quick and item.probe != "predict" and item.batch_size in sizes[1:])
        ]  # fmt: skip

    def _use(self, on_device: ModuleOnDevice) -> None:
        runtime = SavedModel(self._model)
        runtime.modules[FIRST_CPU] = on_device
        self.subject = self.subject.with_runtimes({SavedModel.name: runtime})

    def remember(self) -> None:
        """Take the variables' values for those that the artifact was loaded with."""
        self._module_on_device.remember()

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
        module = export.Exported(
            case, self.state, artifact.graph, functions, {BATCH: batch_size} if batch_size else None
        )
        module.state_vars, module.rng = self.module.state_vars, self.module.rng
        return module

    @contextmanager
    def replaced(self, functions: dict[str, Callable[..., Any]]) -> Iterator[None]:
        """Functions of the artifact replaced; the others stay, with what is compiled of them."""
        kept = {name: getattr(self.module, name) for name in FUNCTIONS}
        module = SimpleNamespace(state_vars=self.module.state_vars, rng=self.module.rng, **{**kept, **functions})
        questioned = ModuleOnDevice(module, self._model, artifact.graph)
        if "eval_loss" not in functions:
            questioned.evaluate = self._module_on_device.evaluate
        if "train_loss" not in functions:
            questioned.train = self._module_on_device.train
        self._use(questioned)
        yield

    @contextmanager
    def signed(self, signature: Signature) -> Iterator[None]:
        """Give the artifact another signature."""
        subject = replace(self._model, signature=signature)
        self._use(ModuleOnDevice(self.module, subject, artifact.graph))
        yield

    @contextmanager
    def rewritten(self, edit: Callable[[Path, Bench], None]) -> Iterator[None]:
        """Copy the bundle, and edit the files of the copy."""
        folder = Path(tempfile.mkdtemp(prefix="parity-fault-"))
        try:
            bundle = folder / "bundle"
            shutil.copytree(self._model.require_bundle(), bundle)
            edit(bundle, self)
            self.subject = self.subject.with_parts(bundle=bundle)
            yield
        finally:
            self.subject.close()
            shutil.rmtree(folder, ignore_errors=True)

    def export_again(self, bundle: Path, state: State, *models: str) -> None:
        """SavedModels of the bundle replaced by those that an export of `state` writes now."""
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
def tests() -> dict[str, Callable[..., None]]:
    """Return the suites' test functions by name, without `test_`."""
    modules = [importlib.import_module(f"{suites.__name__}.{m.name}") for m in pkgutil.iter_modules(suites.__path__)]
    return {
        name.removeprefix("test_"): value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("test_")
    }
