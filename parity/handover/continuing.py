"""Train on in TensorFlow, step by step: with a Keras optimizer, or by the exported `train_step`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.specs import Answer, Batch
from parity.compat.causes import failed
from parity.core.errors import UsageError
from parity.export import artifact
from parity.handover import (
    BATCH_STATS,
    CARRIED,
    EXPORTED,
    GRADIENT,
    KEY,
    LEARNING_RATE,
    LOSS,
    MOMENTS,
    PARAMETERS,
    STEP,
)
from parity.handover.counterparts import keras_optimizer
from parity.handover.files import Handover, read
from parity.handover.keras_loop import keras_loop
from parity.handover.slots import carried, carry


class Continuation(ABC):
    """A training that goes on from a hand-over.

    Args:
        handover: where it starts.
        module: the SavedModel that it trains, loaded for it alone.

    Attributes:
        last: the answer of the last step; empty before the first, and where `keeps_last` is not set.
        keeps_last: whether another training looks at it.
        parameters, other: leaf names and variables of the model's state.
    """

    def __init__(self, handover: Handover, module: Any) -> None:
        self.handover, self.module = handover, module
        self.last: Answer = {}
        self.keeps_last = False
        named = list(zip(handover.signature.state, module.state_vars, strict=True))
        self.parameters = [(s.leaf, v) for s, v in named if s.trainable]
        self.other = [(s.leaf, v) for s, v in named if not s.trainable]

    @abstractmethod
    def train(self, data: Any, labels: Any) -> tuple[Any, Any, list[Any]]:
        """Take a step; return loss and learning rate, [] float32, and for each parameter a gradient or None."""

    @abstractmethod
    def moments(self) -> Answer:
        """Return the optimizer's state by Optax's leaf names."""

    @abstractmethod
    def count(self) -> int:
        """Return the steps taken."""

    @abstractmethod
    def variables(self) -> list[Any]:
        """Return every variable that training changes; with these it can be resumed."""

    def step(self, batch: Batch) -> Answer:
        """Take a step on `batch`; return everything that it computes and leaves behind, by leaf.

        Raises:
            RuntimeFailureError: TensorFlow failed.
        """
        try:
            tensors = batch.map(tf.constant)
            loss, rate, gradients = self.train(tensors.data, tensors.labels)
        except Exception as error:
            raise failed("TensorFlow cannot train on", error) from error
        named = zip((leaf for leaf, _ in self.parameters), gradients, strict=True)
        found = {f"{GRADIENT}/{leaf}": gradient.numpy() for leaf, gradient in named if gradient is not None}
        answer = {LOSS: loss.numpy(), LEARNING_RATE: rate.numpy(), **found, **self.state()}
        if self.keeps_last:
            self.last = answer
        return answer

    def accuracy(self, examples: Batch) -> float:
        """Return the accuracy on `examples`.

        Raises:
            RuntimeFailureError: TensorFlow failed.
        """
        try:
            return float(self.module.accuracy(examples.data, examples.labels))
        except Exception as error:
            raise failed("TensorFlow cannot evaluate", error) from error

    def state(self) -> Answer:
        """Return the state that a step hands to the next, by leaf; see `handover.STATE`."""
        return {
            STEP: np.asarray(self.count(), np.int32),
            KEY: self.module.rng.numpy(),
            **{f"{BATCH_STATS}/{leaf}": v.numpy() for leaf, v in self.other},
            **{f"{MOMENTS}/{leaf}": array for leaf, array in self.moments().items()},
            **{f"{PARAMETERS}/{leaf}": v.numpy() for leaf, v in self.parameters},
        }


class KerasContinuation(Continuation):
    """Training of the reloaded artifact by a Keras optimizer with Optax's state in its slots.

    Args:
        handover: where it starts.
        module: the reloaded artifact.

    Raises:
        CaseError: no Keras optimizer does exactly what the case's does.
        UsageError: the optimizer's state does not fit.
    """

    def __init__(self, handover: Handover, module: Any) -> None:
        super().__init__(handover, module)
        self.optimizer = keras_optimizer(handover.training, handover.steps_per_epoch)
        carry(self.optimizer, self.parameters, handover.state(), handover.steps)
        # Optax sees a zero where nothing is connected; Keras would leave the parameter out, its decay too.
        unconnected = tf.UnconnectedGradients.ZERO
        self._train = keras_loop(module, self.optimizer, [variable for _, variable in self.parameters], unconnected)

    def train(self, data: Any, labels: Any) -> tuple[Any, Any, list[Any]]:
        """Take one step of the usual Keras loop."""
        return self._train(data, labels)

    def moments(self) -> Answer:
        """Return Keras' slots by Optax's names."""
        return carried(self.optimizer, self.parameters, self.handover.moments)

    def count(self) -> int:
        """Return Keras' `iterations`."""
        return int(self.optimizer.iterations.numpy())

    def variables(self) -> list[Any]:
        """Return the artifact's variables, then the optimizer's."""
        slots = [variable.value for variable in self.optimizer.variables]
        return [*self.module.state_vars, self.module.rng, *slots]


class ExportedContinuation(Continuation):
    """Training by the exported `train_step`."""

    def train(self, data: Any, labels: Any) -> tuple[Any, Any, list[Any]]:
        """Call `train_step` once."""
        found = self.module.train_step(data, labels)
        return found[LOSS], found[LEARNING_RATE], list(found[GRADIENT])

    def moments(self) -> Answer:
        """Return the exported optimizer's variables."""
        return {leaf: v.numpy() for leaf, v in zip(self.handover.moments, self.module.optimizer_vars, strict=True)}

    def count(self) -> int:
        """Return the exported count."""
        return int(self.module.step.numpy())

    def variables(self) -> list[Any]:
        """Return all variables of the SavedModel."""
        return [*self.module.state_vars, self.module.rng, *self.module.optimizer_vars, self.module.step]


def resume(method: str, handover: Handover | Path | str, saved_model: Path | None = None) -> Continuation:
    """Return a training that goes on from a hand-over.

    Args:
        method: `carried` or `exported`.
        handover: where it starts, or its folder.
        saved_model: the SavedModel to load, if not the hand-over's own.

    Raises:
        RuntimeFailureError: it cannot be loaded.
        CaseError: the case's optimizer has no Keras counterpart.
        UsageError: the folder holds no hand-over; the optimizer's state or its count of steps does not fit.
    """
    if not isinstance(handover, Handover):
        handover = read(handover)
    if method == EXPORTED:
        found = ExportedContinuation(handover, artifact.load(saved_model or handover.exported))
        _require_same(found, saved_model or handover.exported)
        if saved_model is None and found.count() != handover.steps:
            raise UsageError(
                f"{handover.exported} has taken {found.count()} steps, expected {handover.steps}, as the hand-over "
                "says. Hand over both from the same step of the training."
            )
        return found
    if method != CARRIED:
        raise UsageError(f"no hand-over method {method!r} can be resumed. Expected {CARRIED!r} or {EXPORTED!r}.")
    return KerasContinuation(handover, artifact.load(saved_model or handover.artifact))


def _require_same(training: ExportedContinuation, path: Path) -> None:
    """Check that the optimizer's state in a SavedModel has the arrays of the hand-over's.

    Raises:
        UsageError: another number of arrays, another shape or another dtype.
    """
    state, variables = training.handover.state(), training.module.optimizer_vars
    expected = {leaf: f"{state[leaf].dtype.name}{list(state[leaf].shape)}" for leaf in training.handover.moments}
    found = [f"{v.dtype.name}{v.shape.as_list()}" for v in variables]
    pairs = zip(expected.items(), found, strict=False)
    differ = [f"{leaf} is {array}, expected {other}" for (leaf, other), array in pairs if array != other]
    if len(found) != len(expected):
        differ = [f"it has {len(found)} arrays, expected {len(expected)}"]
    if differ:
        raise UsageError(
            f"the optimizer's state in {path} is not that of the hand-over: {differ[0]}. Take both of one training."
        )
