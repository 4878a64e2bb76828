"""The steps in TensorFlow, of a module with the functions and variables of an artifact."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import tensorflow as tf

from parity.core import environment
from parity.export import artifact
from parity.export.bundles import Signature
from parity.handover import GRADIENT, LOSS
from parity.latency import EVAL, FORWARD_BACKWARD, PREDICT, TRAIN_STEP, steps
from parity.latency.steps import Inputs
from parity.latency.workload import Workload
from parity.runtimes._module import ModuleOnDevice
from parity.runtimes.base import Model


def configure(threads: int) -> None:
    """Let TensorFlow use that many threads, within an operation and between them, and one CPU; grow GPU memory."""
    artifact.configure_devices(1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def on_device(name: str) -> AbstractContextManager[Any]:
    """Place everything that is made and called in the context on a device, such as `cpu:0`."""
    configure(environment.cores())
    device: AbstractContextManager[Any] = tf.device(name.upper())
    return device


class Steps(steps.Steps):
    """The functions of `module`, the gradient wrapped like them.

    Args:
        module: a `Trainable` of the case; a step that is not timed needs no function.
        signature: of its case.
        wrap: makes a callable of the gradient.
        device: of the module.
        contexts: that the steps need until they are closed.
    """

    def __init__(
        self, module: Any, signature: Signature, wrap: artifact.Wrap, device: str, contexts: ExitStack
    ) -> None:
        self._contexts, self._awaits = contexts, not device.startswith("cpu")
        questioned = ModuleOnDevice(module, Model(signature, None, None, None), wrap)
        self._functions = {
            PREDICT: module.predict, EVAL: getattr(module, "eval_loss", None),
            FORWARD_BACKWARD: getattr(questioned, "train", None), TRAIN_STEP: module.train_step,
        }  # fmt: skip
        variables = (*module.state_vars, module.rng, *module.optimizer_vars, module.step)
        self._begin = [(variable, variable.numpy()) for variable in variables]
        self._stateful = len(module.state_vars)

    def reset(self) -> None:
        """Restore the state that training had arrived at."""
        for variable, value in self._begin:
            variable.assign(value)

    def put(self, arrays: Inputs) -> Inputs:
        """Return `arrays` as tensors on the device."""
        placed: Inputs = tf.nest.map_structure(tf.constant, arrays)
        self._wait()
        return placed

    def compile(self, step: str, inputs: Inputs) -> None:
        """Trace; XLA compiles in the first call."""
        self._functions[step].get_concrete_function(*inputs)

    def call(self, step: str, inputs: Inputs) -> Any:
        """Return the result of `step`, and wait for it."""
        result = self._functions[step](*inputs)
        self._wait()
        return result

    def _wait(self) -> None:
        """Wait for the device; a call on a CPU returns when everything has been computed."""
        if self._awaits:
            tf.test.experimental.sync_devices()

    def answer(self, step: str, result: Any) -> tuple[Any, list[Any]]:
        """Return the loss and the gradient."""
        if step == EVAL:
            return result, []
        loss, gradient = (result[LOSS], result[GRADIENT]) if step == TRAIN_STEP else result
        return loss, [array for array in gradient if array is not None]

    def state(self) -> tuple[list[Any], list[Any]]:
        """Return the variables of parameters and other state, now and at the start."""
        begun = self._begin[: self._stateful]
        return [variable.numpy() for variable, _ in begun], [value for _, value in begun]

    def close(self) -> None:
        """Leave the contexts."""
        self._contexts.close()


def open_saved_model(workload: Workload, device: str) -> Steps:
    """Return the steps of the SavedModel.

    Raises:
        RuntimeFailureError: this TensorFlow cannot load it.
    """
    contexts = ExitStack()
    contexts.enter_context(on_device(device))
    return Steps(artifact.load(workload.saved_model), workload.signature, artifact.graph, device, contexts)
