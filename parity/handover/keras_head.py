"""A Keras head on a reloaded trunk, trained by hand and by `model.fit`, under Keras 3 and under Keras 2.

Keras 3 is the package keras, Keras 2 the package tf_keras. The layer around the trunk is what Keras itself provides
for a SavedModel, `TFSMLayer`, where it does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
import tensorflow as tf
from packaging.specifiers import SpecifierSet

from parity.cases.specs import Answer, Batch, Spec, Specs, by_name, like, signature_name
from parity.export import artifact
from parity.export.artifact import FEATURES, FEATURES_TRAIN

KERASES = {"keras3": "keras", "keras2": "tf_keras"}
"""Package by the name that results and messages use."""
_LINE = ".".join(tf.__version__.split(".")[:2])
_WANTED = {"keras3": ">=3.10", "keras2": f"=={_LINE}.*"}
"""A TFSMLayer of Keras before 3.10 holds variables that no Keras optimizer takes; a tf_keras is for one TensorFlow."""


def left_out() -> dict[str, str]:
    """Return a message for every Keras that this environment lacks: which version, and what to install."""
    found = {keras: _version(package) for keras, package in KERASES.items()}
    return {
        keras: f"fusion: {keras} left out, {KERASES[keras]} {version or 'is not installed'}: "
        f"pip install --no-deps '{KERASES[keras]}{_WANTED[keras]}'"
        for keras, version in found.items()
        if version is None or not SpecifierSet(_WANTED[keras]).contains(version, prereleases=True)
    }


def usable() -> list[str]:
    """Return the names in `KERASES` that fusion can use here."""
    return [keras for keras in KERASES if keras not in left_out()]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def load(keras: str) -> ModuleType:
    """Import the package of one of `KERASES`."""
    return importlib.import_module(KERASES[keras])


def trunk_layer(keras: Any, path: Path) -> Any:
    """Return a Keras layer around the trunk exported to `path`; the trunk's variables are its weights."""
    artifact.quiet()
    if hasattr(keras.layers, "TFSMLayer"):
        return keras.layers.TFSMLayer(str(path), call_endpoint=FEATURES, call_training_endpoint=FEATURES_TRAIN)

    class Reloaded(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(name="trunk")
            module = artifact.load(path)
            self.functions = {False: module.features, True: module.features_train}
            self.variables_of_trunk = [*module.state_vars, module.rng]  # Keras 2 tracks variables where it finds them

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return self.functions[bool(training)](inputs)

    return Reloaded()


def _input(keras: Any, name: str, spec: Spec) -> Any:
    shape = [None if isinstance(size, str) else size for size in spec.shape[1:]]
    return keras.Input(shape, dtype=spec.dtype, name=signature_name(name))


def plain_name(variable: Any) -> str:
    """Return the name of a variable as Keras has it: without slashes, and without `:0`."""
    return str(variable.name).partition(":")[0].replace("/", "_")


@dataclass(frozen=True)
class Settings:
    """Where the head and the optimizer, stochastic gradient descent, start: kernel [d, classes], bias [classes]."""

    kernel: np.ndarray
    bias: np.ndarray
    learning_rate: float
    momentum: float


class Network:
    """A dense head on a trunk layer, as a Keras model.

    Args:
        keras: the package.
        layer: see `trunk_layer`.
        leaves: the leaf that a variable of the trunk holds, by the name of the variable.
        data: spec of the inputs.
        settings: of head and optimizer.
    """

    def __init__(self, keras: Any, layer: Any, leaves: Mapping[str, str], data: Specs, settings: Settings) -> None:
        inputs = like(data, {n: _input(keras, n, s) for n, s in by_name(data).items()})
        head = keras.layers.Dense(len(settings.bias), name="head")
        self.model = keras.Model(inputs, head(layer(inputs)))
        head.set_weights([settings.kernel, settings.bias])
        self._leaves = {id(weight): leaves[plain_name(weight)] for weight in layer.weights}
        self._leaves |= {id(head.kernel): "parameters/head/kernel", id(head.bias): "parameters/head/bias"}
        self._keras, self._settings = keras, settings
        self._begin = self.model.get_weights()

    def _restart(self) -> tuple[Any, Any]:
        """Reset the weights; return a new optimizer and loss."""
        self.model.set_weights(self._begin)
        optimizer = self._keras.optimizers.SGD(self._settings.learning_rate, momentum=self._settings.momentum)
        # Keras 3 names moments after weights, here with the ":0" of a reloaded variable, and a graph refuses that name.
        optimizer.build(self.model.trainable_variables)
        return optimizer, self._keras.losses.CategoricalCrossentropy(from_logits=True)

    def state(self) -> Answer:
        """Return every weight by leaf."""
        return {self._leaves[id(weight)]: np.asarray(weight) for weight in self.model.weights}

    def by_hand(self, batches: Sequence[Batch]) -> Answer:
        """Take a step for every batch in a hand-written loop, then predict the last one; see `fused.trajectory`."""
        optimizer, loss_of = self._restart()
        model, weights = self.model, self.model.trainable_weights

        @tf.function(autograph=False)
        def step(data: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(data, training=True))
            gradients = tape.gradient(loss, weights)
            optimizer.apply_gradients([pair for pair in zip(gradients, weights, strict=True) if pair[0] is not None])
            return loss, gradients

        found: Answer = {}
        for number, batch in enumerate(batches, 1):
            loss, gradients = step(*_tensors(batch))
            named = zip((self._leaves[id(w)].partition("/")[2] for w in weights), gradients, strict=True)
            answer = {f"gradient/{leaf}": g.numpy() for leaf, g in named if g is not None}
            answer |= {"loss": loss.numpy(), **self.state()}
            found |= {f"step_{number}/{leaf}": array for leaf, array in answer.items()}
        found["predict/logits"] = tf.function(model, autograph=False)(_tensors(batch)[0], training=False).numpy()
        left = self.state()
        return found | {f"predict/{leaf}": left[leaf] for leaf in left if not leaf.startswith("parameters/")}

    def fitted(self, batches: Sequence[Batch]) -> Answer:
        """Take the same steps by `model.fit`; return the mean loss and the state after them."""
        optimizer, loss = self._restart()
        self.model.compile(optimizer=optimizer, loss=loss)
        data, labels = _joined([b.data for b in batches]), _joined([b.labels for b in batches])
        size = batches[0].size
        history = self.model.fit(data, labels, batch_size=size, epochs=1, shuffle=False, verbose=0).history
        return {f"fit/{leaf}": a for leaf, a in {"loss": np.float32(history["loss"][0])[()], **self.state()}.items()}


def _tensors(batch: Batch) -> tuple[Any, Any]:
    tensors = batch.map(tf.constant)
    return tensors.data, tensors.labels


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)
