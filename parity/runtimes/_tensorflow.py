"""What the TensorFlow runtimes of this process share: one module for each device, opened when it is first asked."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from parity.runtimes.base import GRAPH, Answers, Model, Runtime, Values, Variable, Variables

if TYPE_CHECKING:
    from parity.cases.specs import Batch
    from parity.runtimes._module import ModuleOnDevice


KEY = "key"
"""The name of the random key among variables."""


class TensorFlowRuntime(Runtime):
    """Answer from a TensorFlow module with the functions and variables of an artifact."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.modules: dict[str, ModuleOnDevice] = {}

    @classmethod
    def devices(cls) -> list[str]:
        """Return TensorFlow's devices."""
        from parity.export import artifact

        return artifact.devices()

    @abstractmethod
    def module(self) -> Any:
        """Return a new module with its variables on the current device."""

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the model's state."""
        return self._on(device).answers(evaluation, batch, device)

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the state `values`."""
        return self._on(device).answers(evaluation, batch, device, values)

    def variables(self) -> Variables:
        """Return the variables of a new module."""
        return of_module(self.module(), self.model)

    def _on(self, device: str) -> ModuleOnDevice:
        if device not in self.modules:
            import tensorflow as tf

            from parity.compat.causes import failed
            from parity.core.errors import RuntimeFailureError
            from parity.export import artifact
            from parity.runtimes._module import ModuleOnDevice

            wrap = artifact.WRAPS[self.capabilities.mode or GRAPH]
            try:
                with tf.device(device.upper()):
                    self.modules[device] = ModuleOnDevice(self.module(), self.model, wrap)
            except RuntimeFailureError:
                raise
            except Exception as error:
                raise failed(f"TensorFlow failed on {device}", error) from error
        return self.modules[device]


def of_module(module: Any, model: Model) -> Variables:
    """Return the variables of a module by the leaf names of the model, in the order in which the module lists them.

    A module without a key, such as that of the artifact which only predicts, has no `key`.
    """
    names = [leaf.leaf for leaf in model.signature.state]
    found = dict(zip(names, module.state_vars, strict=True))
    if hasattr(module, "rng"):
        found[KEY] = module.rng
    absent = module.absent if hasattr(module, "absent") else ()  # a user's artifact need not have all
    return {name: Variable(v.numpy(), bool(v.trainable)) for name, v in found.items() if name not in absent}
