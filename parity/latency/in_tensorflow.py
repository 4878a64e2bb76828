"""The steps in TensorFlow, of a module with the functions and variables of an artifact."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from parity.export import artifact
from parity.export.bundles import Signature
from parity.handover import GRADIENT, LOSS
from parity.latency import EVAL, FORWARD_BACKWARD, PREDICT, TRAIN_STEP, steps
from parity.latency.steps import Inputs
from parity.latency.workload import Workload
from parity.runtimes.base import Model
from parity.runtimes._module import ModuleOnDevice


def configure(threads: int) -> None:
    """Let TensorFlow compute with that many threads, within an operation and between them, and leave GPU memory."""
    artifact.configure_devices(1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def on_device(name: str) -> AbstractContextManager[Any]:
    """With what is made and called placed on the device of that name."""
    device: AbstractContextManager[Any] = tf.device(name.upper())
    return device


class Steps(steps.Steps):
    """The functions of `module`, the gradient wrapped like them.

    Args:
        module: see `converted.Timeable`.
        signature: of its case.
        wrap: makes a callable of the gradient.
        on: the device that it is on.
    """

    def __init__(self, module: Any, signature: Signature, wrap: artifact.Wrap, on: str) -> None:
        self._awaits = not on.startswith("cpu")
        questioned = ModuleOnDevice(module, Model(signature, None, None, None), wrap)
        self._functions = {
            PREDICT: module.predict, EVAL: module.eval_loss, FORWARD_BACKWARD: questioned.train,
            TRAIN_STEP: module.train_step,
        }  # fmt: skip
        variables = (*module.state_vars, module.rng, *module.optimizer_vars, module.step)
        self._begin = [(variable, variable.numpy()) for variable in variables]
        self._stateful = len(module.state_vars)

    def reset(self) -> None:
        """Put back the state that training had arrived at."""
        for variable, value in self._begin:
            variable.assign(value)

    def put(self, arrays: Inputs) -> Inputs:
        """`arrays` as tensors on the device."""
        placed: Inputs = tf.nest.map_structure(tf.constant, arrays)
        self._wait()
        return placed

    def compile(self, step: str, inputs: Inputs) -> None:
        """Trace; XLA compiles in the first call."""
        self._functions[step].get_concrete_function(*inputs)

    def call(self, step: str, inputs: Inputs) -> Any:
        """What `step` returns, waited for."""
        result = self._functions[step](*inputs)
        self._wait()
        return result

    def _wait(self) -> None:
        """Wait for the device; a call on a CPU returns when everything has been computed."""
        if self._awaits:
            tf.test.experimental.sync_devices()

    def answer(self, step: str, result: Any) -> tuple[Any, list[Any]]:
        """The loss and the gradient."""
        if step == EVAL:
            return result, []
        loss, gradient = (result[LOSS], result[GRADIENT]) if step == TRAIN_STEP else result
        return loss, [array for array in gradient if array is not None]

    def state(self) -> tuple[list[Any], list[Any]]:
        """The variables of parameters and other state."""
        begun = self._begin[: self._stateful]
        return [variable.numpy() for variable, _ in begun], [value for _, value in begun]


def loaded(workload: Workload, on: str) -> Steps:
    """The steps of the SavedModel.

    Raises:
        RuntimeFailureError: this TensorFlow cannot load it.
    """
    return Steps(artifact.load(workload.saved_model), workload.signature, artifact.graph, on)
