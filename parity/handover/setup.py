"""What all hand-overs of a case share: the batches to come, the training step, its state, and the written hand-over."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import jax

from parity.cases.case import Case
from parity.cases.specs import Batch
from parity.core.errors import CaseError
from parity.handover import CARRIED, EXPORTED
from parity.handover.continuing import Continuation, resume
from parity.handover.counterparts import keras_optimizer
from parity.handover.exported import hand_over
from parity.handover.files import Handover
from parity.handover.reference import CompiledStep, ReferenceTrajectory
from parity.handover.train_state import Step, TrainState, stepping
from parity.runtimes.subject import Subject

RETURNED, NARROW = "returned", "exported_bfloat16"
COMPARED: Mapping[str, str] = {
    CARRIED: "TensorFlow with a Keras optimizer that has Optax's moments in its slots",
    EXPORTED: "TensorFlow by the exported Optax update",
    RETURNED: "TensorFlow by the exported Optax update, and back to JAX",
    NARROW: "the exported update again, of parameters in bfloat16 with moments in float32",
}
"""The methods that are compared with JAX step by step."""


def methods(case: Case) -> list[str]:
    """Return the methods of `COMPARED` that apply to a case; none where it is not trained before and after."""
    trains = {"train_loss", "train_gradient"} <= set(case.probes)
    if not (case.training.epochs and case.training.epochs_after and trains):
        return []
    return [method for method in COMPARED if method != CARRIED or why_not_carried(case) is None]


def why_not_carried(case: Case) -> str | None:
    """Return why no Keras optimizer takes the case's moments; None where one does."""
    try:
        keras_optimizer(case.training, 1)
    except CaseError as error:
        return str(error)
    return None


class HandoverSetup:
    """Writes the hand-overs of a case into a temporary folder, and opens trainings that go on from them.

    Args:
        subject: the trained, exported case.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.case = subject, subject.case
        self._temporary = TemporaryDirectory(prefix="parity-handover-")
        self.folder = Path(self._temporary.name)

    @cached_property
    def batches(self) -> list[Batch]:
        """The batches after the hand-over, in order."""
        training, pipeline = self.case.training, self.subject.pipeline
        epochs = range(training.epochs, training.epochs + training.epochs_after)
        return [batch for epoch in epochs for batch in pipeline.epoch(epoch)]

    @cached_property
    def step(self) -> Step:
        """The training step in JAX."""
        return stepping(self.case, self.subject.pipeline.steps_per_epoch)

    @cached_property
    def train_state(self) -> TrainState:
        """Where JAX hands over."""
        return TrainState.of(self.subject.trained)

    @cached_property
    def narrow_state(self) -> TrainState:
        """The same with parameters in bfloat16; the moments stay float32."""
        state = self.train_state.state
        params = jax.tree_util.tree_map(lambda a: a.astype(jax.numpy.bfloat16), state.params)
        return self.train_state._replace(state=state._replace(params=params))

    @cached_property
    def compiled(self) -> CompiledStep:
        """The step, compiled for `train_state`."""
        return CompiledStep(self.step, self.train_state, self.batches[0])

    def reference(self) -> ReferenceTrajectory:
        """Return a new reference trajectory from where JAX hands over."""
        return ReferenceTrajectory(self.compiled, self.train_state, self.subject.limit)

    def narrow_reference(self) -> ReferenceTrajectory:
        """Return the same with parameters in bfloat16."""
        step = CompiledStep(self.step, self.narrow_state, self.batches[0])
        return ReferenceTrajectory(step, self.narrow_state, self.subject.limit)

    @cached_property
    def handover(self) -> Handover:
        """The hand-over on disk.

        Raises:
            ParityError: the case or its training step cannot be exported.
        """
        return self._write(self.train_state, self.subject.bundle / "saved_model", "handover")

    @cached_property
    def narrow_handover(self) -> Handover:
        """The same with parameters in bfloat16, by the exported update alone."""
        return self._write(self.narrow_state, None, "narrow")

    def _write(self, train_state: TrainState, artifact: Path | None, name: str) -> Handover:
        subject = self.subject
        readable_by = subject.remedy.requirement if subject.remedy else None
        return hand_over(
            self.case, train_state, self.step, self.folder / name, artifact, subject.dataset.train, subject.pipeline,
            readable_by,
        )  # fmt: skip

    def resume(self, method: str, handover: Handover) -> Continuation:
        """Return a training that goes on from `handover`; see `continuing.resume`."""
        return resume(method, handover)

    def close(self) -> None:
        """Remove the hand-overs."""
        self._temporary.cleanup()
