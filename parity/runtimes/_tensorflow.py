"""What all TensorFlow runtimes share: questioning a module with the functions and variables of an artifact."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.specs import Answer, Array, Batch, outputs
from parity.core.errors import RuntimeFailureError
from parity.export import artifact
from parity.runtimes import CALLS, BaseRuntime, Model


class Questioned:
    """A module on one device, ready to be asked: gradients wrapped like its functions, its first state kept."""

    def __init__(self, module: Any, subject: Model, wrap: artifact.Wrap) -> None:
        self.module = module
        named = [(s, v) for s, v in zip(subject.signature.state, module.state_vars, strict=True)]
        self._parameters = {s.leaf: v for s, v in named if s.trainable}
        self._other = {s.leaf: v for s, v in named if not s.trainable}
        self._rng = {"rng": module.rng}
        self._initial: list[tuple[Any, Any]] = []
        self.remember()
        specs = [artifact.tensor_specs(s) for s in (subject.signature.data, subject.signature.labels)]
        self.evaluate = wrap(self._differentiated("eval_loss"), specs)
        self.train = wrap(self._differentiated("train_loss"), specs)

    def _differentiated(self, name: str) -> Callable[..., Any]:
        parameters = list(self._parameters.values())
        loss_function = getattr(self.module, name)

        def loss_and_gradient(data: Any, labels: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                loss = loss_function(data, labels)
            return loss, tape.gradient(loss, parameters)

        return loss_and_gradient

    def put(self, values: list[Any]) -> None:
        """Give the module another state: a value for each of `state_vars` and for the key, in this order."""
        self._initial = [(variable, value) for (variable, _), value in zip(self._initial, values, strict=True)]
        self.reset()

    def remember(self) -> None:
        """Take the state that the module has now for the one that it came with."""
        self._initial = [(v, v.numpy()) for v in (*self.module.state_vars, self.module.rng)]

    def reset(self) -> None:
        """Put back the state that the module came with."""
        for variable, value in self._initial:
            variable.assign(value)

    @contextmanager
    def holding(self, leaf: str, value: Array) -> Iterator[None]:
        """With `value` in the parameter `leaf`, as if the module had come with it."""
        variable, before = self._parameters[leaf], self._initial
        self._initial = [(v, value if v is variable else kept) for v, kept in before]
        try:
            yield
        finally:
            self._initial = before

    def gradient(self, tensors: list[Any], prefix: str = "") -> dict[str, Any]:
        """Gradients by leaf name; one that is not connected is left out, and so will be found missing."""
        named = zip(self._parameters, tensors, strict=True)
        return {prefix + leaf: tensor for leaf, tensor in named if tensor is not None}

    def other_state(self, prefix: str) -> dict[str, Any]:
        """The variables that are not parameters, by leaf name."""
        return {prefix + leaf: tf.identity(variable) for leaf, variable in self._other.items()}

    def require_untouched(self, evaluation: str) -> None:
        """Only training may write to variables, and only to those that are not parameters.

        Raises:
            RuntimeFailureError: another variable has changed.
        """
        initial = {id(variable): value for variable, value in self._initial}
        guarded = self._parameters if evaluation == "train" else {**self._parameters, **self._other, **self._rng}
        for leaf, variable in guarded.items():
            if not np.array_equal(_bytes(variable.numpy()), _bytes(initial[id(variable)])):
                raise RuntimeFailureError(f"{evaluation} wrote to the variable {leaf}, which it must leave alone.")

    def ask(self, evaluation: str, data: Any, labels: Any) -> dict[str, dict[str, Any]]:
        """Tensors by probe and leaf."""
        if evaluation == "predict":
            return {"predict": outputs(self.module.predict(data))}
        if evaluation == "accuracy":
            return {"accuracy": {"accuracy": self.module.accuracy(data, labels)}}
        if evaluation == "evaluate":
            loss, gradient = self.evaluate(data, labels)
            return {"eval_loss": {"loss": loss}, "eval_gradient": self.gradient(gradient)}
        answers: dict[str, dict[str, Any]] = {"train_loss": {}, "train_gradient": {}, "batch_stats": {}, "rng": {}}
        for call in CALLS:
            prefix = f"call_{call}/"
            loss, gradient = self.train(data, labels)
            answers["train_loss"][f"{prefix}loss"] = loss
            answers["train_gradient"] |= self.gradient(gradient, prefix)
            answers["batch_stats"] |= self.other_state(prefix)
            answers["rng"][f"{prefix}key"] = tf.identity(self.module.rng)
        return answers


def _bytes(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


class TensorFlowRuntime(BaseRuntime):
    """Questions a module, one copy of it per device."""

    wrap: staticmethod[..., Any] = staticmethod(artifact.graph)

    def __init__(self, subject: Model) -> None:
        super().__init__(subject)
        self.questioned: dict[str, Questioned] = {}
        self._values: list[Any] = []

    @abstractmethod
    def module(self) -> Any:
        """A new module with its variables on the current device."""

    def put(self, values: list[Any]) -> None:
        """Answer from another state from now on, with what is compiled; see `Questioned.put`."""
        self._values = values
        for questioned in self.questioned.values():
            questioned.put(values)

    def devices(self) -> list[str]:
        """TensorFlow's devices."""
        return artifact.devices()

    def _on(self, device: str) -> Questioned:
        if device not in self.questioned:
            self.questioned[device] = Questioned(self.module(), self.model, type(self).wrap)
            if self._values:
                self.questioned[device].put(self._values)
        return self.questioned[device]

    def holding(self, leaf: str, value: Array, device: str) -> AbstractContextManager[None]:
        """With `value` in the variable of the parameter `leaf`, on `device`."""
        with tf.device(device.upper()):
            return self._on(device).holding(leaf, value)

    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers as TensorFlow gives them."""
        try:
            with tf.device(device.upper()):
                questioned = self._on(device)
                questioned.reset()
                tensors = batch.map(tf.constant)
                answers = questioned.ask(evaluation, tensors.data, tensors.labels)
                questioned.require_untouched(evaluation)
                questioned.reset()
        except RuntimeFailureError:
            raise
        except Exception as error:
            raise RuntimeFailureError(f"TensorFlow failed on {device}: {type(error).__name__}: {error}") from error
        _require_device(answers, device)
        return {probe: {leaf: t.numpy() for leaf, t in leaves.items()} for probe, leaves in answers.items()}


def _require_device(answers: dict[str, dict[str, Any]], device: str) -> None:
    tensors = [t for leaves in answers.values() for t in leaves.values()]
    # TensorFlow keeps integers in the host's memory, whichever device computes.
    used = {t.backing_device.rpartition("device:")[2].lower() for t in tensors if t.dtype.is_floating}
    if used - {device}:
        raise RuntimeFailureError(f"TensorFlow was asked to run on {device}, and ran on {', '.join(sorted(used))}.")
