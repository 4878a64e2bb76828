"""What all TensorFlow runtimes share: questioning a module with the functions and variables of an artifact."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from parity import artifact
from parity.errors import RuntimeFailureError
from parity.runtimes import CALLS, BaseRuntime, Subject
from parity.specs import Answer, Batch, outputs


class Questioned:
    """A module on one device, ready to be asked: gradients wrapped like its functions, its first state kept."""

    def __init__(self, module: Any, subject: Subject, wrap: artifact.Wrap) -> None:
        self.module = module
        leaves = subject.signature.state
        self.variables = dict(zip((s.leaf for s in leaves), module.state_vars, strict=True))
        self._trainable = [s.leaf for s in leaves if s.trainable]
        self._initial = [(v, v.numpy()) for v in (*module.state_vars, module.rng)]
        specs = [artifact.tensor_specs(s) for s in (subject.signature.data, subject.signature.labels)]
        self.evaluate = wrap(self._differentiated("eval_loss"), specs)
        self.train = wrap(self._differentiated("train_loss"), specs)

    def _differentiated(self, name: str) -> Callable[..., Any]:
        parameters = [self.variables[leaf] for leaf in self._trainable]
        loss_function = getattr(self.module, name)

        def loss_and_gradient(data: Any, labels: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                loss = loss_function(data, labels)
            return loss, tape.gradient(loss, parameters)

        return loss_and_gradient

    def reset(self) -> None:
        """Put back the state that the module came with."""
        for variable, value in self._initial:
            variable.assign(value)

    def gradient(self, tensors: list[Any], prefix: str = "") -> dict[str, Any]:
        """Gradients by leaf name; one that is not connected is left out, and so will be found missing."""
        named = zip(self._trainable, tensors, strict=True)
        return {prefix + leaf: tensor for leaf, tensor in named if tensor is not None}

    def other_state(self, prefix: str) -> dict[str, Any]:
        """The variables that are not parameters, by leaf name."""
        return {prefix + n: tf.identity(v) for n, v in self.variables.items() if n not in self._trainable}

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


class TensorFlowRuntime(BaseRuntime):
    """Questions a module, one copy of it per device."""

    wrap: staticmethod[..., Any] = staticmethod(artifact.graph)

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._questioned: dict[str, Questioned] = {}

    @abstractmethod
    def module(self) -> Any:
        """A new module with its variables on the current device."""

    def devices(self) -> list[str]:
        """TensorFlow's devices."""
        return artifact.devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers as TensorFlow gives them."""
        try:
            with tf.device(device.upper()):
                if device not in self._questioned:
                    self._questioned[device] = Questioned(self.module(), self.subject, type(self).wrap)
                questioned = self._questioned[device]
                questioned.reset()
                tensors = batch.map(tf.constant)
                answers = questioned.ask(evaluation, tensors.data, tensors.labels)
                questioned.reset()
        except RuntimeFailureError:
            raise
        except Exception as error:
            raise RuntimeFailureError(f"TensorFlow failed on {device}: {type(error).__name__}: {error}") from error
        _require_device(answers, device)
        return {probe: {leaf: t.numpy() for leaf, t in leaves.items()} for probe, leaves in answers.items()}


def _require_device(answers: dict[str, dict[str, Any]], device: str) -> None:
    used = {t.backing_device.rpartition("device:")[2].lower() for leaves in answers.values() for t in leaves.values()}
    if used - {device}:
        raise RuntimeFailureError(f"TensorFlow was asked to run on {device}, and ran on {', '.join(sorted(used))}.")
