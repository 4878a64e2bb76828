"""A TensorFlow module with the functions and variables of an artifact, on one device, ready to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.specs import Batch, outputs
from parity.compat.causes import failed
from parity.core.errors import RuntimeFailureError
from parity.export import artifact
from parity.runtimes.base import CALLS, Answers, Model


class ModuleOnDevice:
    """Answers from a module: gradients are wrapped like its functions, and its first state is put back after each call.

    Args:
        module: has `predict`, `accuracy`, `eval_loss`, `train_loss`, `state_vars` and `rng`.
        model: whose signature names the variables.
        wrap: makes callables of the differentiated losses.
    """

    def __init__(self, module: Any, model: Model, wrap: artifact.Wrap) -> None:
        self.module, self._trained = module, model.values
        named = [(s, v) for s, v in zip(model.signature.state, module.state_vars, strict=True)]
        self._parameters = {s.leaf: v for s, v in named if s.trainable}
        self._other = {s.leaf: v for s, v in named if not s.trainable}
        self._has_gradient = model.signature.differentiated
        self._initial: list[tuple[Any, Any]] = []
        self.remember()
        specs = [artifact.tensor_specs(s) for s in (model.signature.data, model.signature.labels)]
        if hasattr(module, "eval_loss"):  # or else it is not asked for that
            self.evaluate = wrap(self._differentiated("eval_loss"), specs)
        if hasattr(module, "train_loss"):
            self.train = wrap(self._differentiated("train_loss"), specs)

    def _differentiated(self, name: str) -> Callable[..., Any]:
        parameters = list(self._parameters.values()) if self._has_gradient else []
        loss_function = getattr(self.module, name)

        def loss_and_gradient(data: Any, labels: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                loss = loss_function(data, labels)
            return loss, tape.gradient(loss, parameters)

        return loss_and_gradient

    def remember(self) -> None:
        """Take the present values of all variables for the state to go back to."""
        variables = (*self.module.state_vars, self.module.rng)
        trained: Sequence[Any] = self._trained or [None] * len(variables)
        self._initial = [(v, _shared(v.numpy(), kept)) for v, kept in zip(variables, trained, strict=True)]

    def reset(self, values: Sequence[Any] | None = None) -> None:
        """Assign the first state, or `values`: one for each of `state_vars`, then the key."""
        kept = [value for _, value in self._initial] if values is None else values
        for (variable, _), value in zip(self._initial, kept, strict=True):
            variable.assign(value)

    def answers(self, evaluation: str, batch: Batch, device: str, values: Sequence[Any] | None = None) -> Answers:
        """Return answers from the first state, or from `values`.

        Raises:
            RuntimeFailureError: TensorFlow failed, computed elsewhere, or wrote to a variable that it must leave alone.
        """
        try:
            with tf.device(device.upper()):
                self.reset(values)
                tensors = batch.map(tf.constant)
                found = self._tensors(evaluation, tensors.data, tensors.labels)
                self._require_untouched(evaluation, values)
                self.reset()
        except RuntimeFailureError:
            raise
        except Exception as error:
            raise failed(f"TensorFlow failed on {device}", error) from error
        _require_device(found, device)
        return {probe: {leaf: t.numpy() for leaf, t in leaves.items()} for probe, leaves in found.items()}

    def _tensors(self, evaluation: str, data: Any, labels: Any) -> dict[str, dict[str, Any]]:
        if evaluation == "predict":
            return {"predict": outputs(self.module.predict(data))}
        if evaluation == "accuracy":
            return {"accuracy": {"accuracy": self.module.accuracy(data, labels)}}
        if evaluation == "evaluate":
            loss, gradient = self.evaluate(data, labels)
            return {"eval_loss": {"loss": loss}, "eval_gradient": self._named(gradient)}
        found: dict[str, dict[str, Any]] = {"train_loss": {}, "train_gradient": {}, "batch_stats": {}, "rng": {}}
        for call in CALLS:
            prefix = f"call_{call}/"
            loss, gradient = self.train(data, labels)
            found["train_loss"][f"{prefix}loss"] = loss
            found["train_gradient"] |= self._named(gradient, prefix)
            found["batch_stats"] |= {prefix + leaf: tf.identity(variable) for leaf, variable in self._other.items()}
            found["rng"][f"{prefix}key"] = tf.identity(self.module.rng)
        return found

    def _named(self, gradient: list[Any], prefix: str = "") -> dict[str, Any]:
        """Return gradients by leaf; one that is not connected is left out, and is then missing from the answer."""
        named = zip(self._parameters if self._has_gradient else (), gradient, strict=True)
        return {prefix + leaf: tensor for leaf, tensor in named if tensor is not None}

    def _require_untouched(self, evaluation: str, values: Sequence[Any] | None) -> None:
        """Only training may write to variables, and only to those that are not parameters."""
        kept = [value for _, value in self._initial] if values is None else values
        initial = {id(variable): value for (variable, _), value in zip(self._initial, kept, strict=True)}
        guarded = dict(self._parameters)
        if evaluation != "train":
            guarded |= {**self._other, "rng": self.module.rng}
        for leaf, variable in guarded.items():
            if not np.array_equal(_bytes(variable.numpy()), _bytes(initial[id(variable)])):
                raise RuntimeFailureError(f"{evaluation} wrote to the variable {leaf}, which it must leave alone.")


def _shared(value: Any, kept: Any) -> Any:
    """Return `kept` where it has the bits of `value`."""
    same = kept is not None and (kept.shape, kept.dtype) == (value.shape, value.dtype)
    return kept if same and np.array_equal(_bytes(kept), _bytes(value)) else value


def _bytes(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _require_device(answers: dict[str, dict[str, Any]], device: str) -> None:
    tensors = [t for leaves in answers.values() for t in leaves.values()]
    # TensorFlow keeps integers in the host's memory, whichever device computes.
    used = {t.backing_device.rpartition("device:")[2].lower() for t in tensors if t.dtype.is_floating}
    if used - {device}:
        raise RuntimeFailureError(f"TensorFlow was asked to run on {device}, and ran on {', '.join(sorted(used))}.")
