"""What the TensorFlow runtimes of this process share: one module for each device, opened when it is first asked."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from parity.runtimes.base import GRAPH, Answers, Model, Runtime, Values

if TYPE_CHECKING:
    from parity.cases.specs import Batch
    from parity.runtimes._module import ModuleOnDevice


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

    def _on(self, device: str) -> ModuleOnDevice:
        if device not in self.modules:
            import tensorflow as tf

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
                raise RuntimeFailureError(f"TensorFlow failed on {device}: {type(error).__name__}: {error}") from error
        return self.modules[device]
