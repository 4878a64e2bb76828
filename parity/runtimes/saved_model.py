"""The SavedModel, reloaded in this process."""

from typing import Any

from parity.export import artifact
from parity.runtimes._tensorflow import TensorFlowRuntime


class Runtime(TensorFlowRuntime):
    """The reloaded artifact; gradients are taken in a `tf.function` around it, as fine-tuning does."""

    def module(self) -> Any:
        """The artifact, loaded anew."""
        return artifact.load(self.model.require_bundle() / "saved_model")
