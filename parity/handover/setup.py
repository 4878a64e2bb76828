"""What all hand-overs of a case share: the batches to come, the training step, its state, and the written hand-over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

import jax

from parity.cases.case import Case
from parity.cases.layout import abstract_state
from parity.cases.specs import MOST_BYTES, Batch
from parity.core.errors import CaseError
from parity.handover import CARRIED, EXPORTED
from parity.handover.continuing import Continuation, resume
from parity.handover.counterparts import keras_optimizer
from parity.handover.exported import hand_over
from parity.handover.files import Handover
from parity.handover.reference import CompiledStep, ReferenceTrajectory
from parity.handover.train_state import TrainState, stepping
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
    """Return the methods of `COMPARED` that apply to a case; none where it is not handed over."""
    if why_not_handed_over(case) is not None:
        return []
    return [method for method in COMPARED if method != CARRIED or why_not_carried(case) is None]


def why_not_handed_over(case: Case) -> str | None:
    """Return what a case lacks for its training to be handed over, and how to add it; None where it lacks nothing."""
    probes = [name for name in ("train_loss", "train_gradient") if name not in case.probes]
    epochs = {"epochs": "JAX", "epochs_after": "TensorFlow"}
    lacking = [
        *(f"the probe {name}: add it to Case(probes=...)" for name in probes),
        *(f"an epoch in {epochs[n]}: give Training({n}=1) or more" for n in epochs if not getattr(case.training, n)),
    ]
    return f"the case lacks {', and '.join(lacking)}" if lacking else None


def why_not_carried(case: Case) -> str | None:
    """Return why no Keras optimizer takes the case's moments; None where one does."""
    try:
        keras_optimizer(case.training, 1)
    except CaseError as error:
        return str(error)
    try:
        params, _ = abstract_state(case)
    except Exception:
        return None  # training reports what is wrong with the case
    narrow = {leaf.dtype.name for leaf in jax.tree_util.tree_leaves(params) if leaf.dtype.itemsize < MOST_BYTES}
    if not narrow:
        return None
    return f"its parameters are {' and '.join(sorted(narrow))}, in which TensorFlow keeps their gradients and moments"


class HandoverSetup:
    """Writes the hand-over of a case, and opens trainings that go on from it.

    Args:
        subject: the trained, exported case; its folder holds the hand-over.
        narrow: whether the parameters are handed over in bfloat16, by the exported update alone; the moments stay
            float32.
    """

    def __init__(self, subject: Subject, narrow: bool = False) -> None:
        self.subject, self.case, self._is_narrow = subject, subject.case, narrow

    @cached_property
    def narrow(self) -> HandoverSetup:
        """The same with parameters in bfloat16."""
        return type(self)(self.subject, narrow=True)

    @cached_property
    def folder(self) -> Path:
        """A folder for this setup alone."""
        return Path(mkdtemp(prefix="handover-", dir=self.subject.workdir))

    @cached_property
    def batches(self) -> list[Batch]:
        """The batches after the hand-over, in order."""
        return list(self._batches())

    def first(self, steps: int, size: int) -> list[Batch]:
        """Return the batches of the first steps after the hand-over, of `size` examples each at most."""
        return [batch.take(min(size, batch.size)) for batch in islice(self._batches(), steps)]

    def _batches(self) -> Iterator[Batch]:
        training, pipeline = self.case.training, self.subject.pipeline
        for epoch in range(training.epochs, training.epochs + training.epochs_after):
            yield from pipeline.epoch(epoch)

    @cached_property
    def train_state(self) -> TrainState:
        """Where JAX hands over."""
        found = TrainState.of(self.subject.trained)
        if not self._is_narrow:
            return found
        params = jax.tree_util.tree_map(lambda a: a.astype(jax.numpy.bfloat16), found.state.params)
        return found._replace(state=found.state._replace(params=params))

    @cached_property
    def _compiled(self) -> CompiledStep:
        return self._compile(next(self._batches()))

    def _compile(self, batch: Batch) -> CompiledStep:
        return CompiledStep(stepping(self.case, self.subject.pipeline.steps_per_epoch), self.train_state, batch)

    def reference(self, batch: Batch | None = None) -> ReferenceTrajectory:
        """Return a new reference trajectory from where JAX hands over.

        Args:
            batch: has the shapes of those to come; None for those of training, for which a step is compiled once.
        """
        step = self._compiled if batch is None else self._compile(batch)
        return ReferenceTrajectory(step, self.train_state, self.subject.limit_of("trajectory"))

    @cached_property
    def handover(self) -> Handover:
        """The hand-over on disk.

        Raises:
            ParityError: the case or its training step cannot be exported.
        """
        subject = self.subject
        artifact = None if self._is_narrow else subject.bundle / "saved_model"
        readable_by = subject.remedy.requirement if subject.remedy else None
        path = self.folder / "handover"
        return hand_over(self.case, self.train_state, subject.pipeline, path, artifact, readable_by)

    def resume(self, method: str) -> Continuation:
        """Return a training that goes on from the hand-over; see `continuing.resume`."""
        return resume(method, self.handover)
