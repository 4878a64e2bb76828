"""The SavedModel, reloaded in this process."""

from __future__ import annotations

from typing import Any

from parity.runtimes._tensorflow import TensorFlowRuntime
from parity.runtimes.base import ARTIFACT, Capabilities


class SavedModel(TensorFlowRuntime):
    """Answer from the reloaded artifact; gradients are taken in a `tf.function` around it, as fine-tuning does."""

    name = "saved_model"
    capabilities = Capabilities(
        source=ARTIFACT,
        further_devices=True,
        any_state=True,
        variables=True,
        requires=("tensorflow",),
        timing_worker="parity.latency.in_tensorflow:open_saved_model",
    )

    def module(self) -> Any:
        """Return the artifact, loaded anew."""
        from parity.export import artifact

        return artifact.load(self.model.require_bundle() / "saved_model")
