"""The SavedModel, reloaded in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.runtimes._supplied import processed
from parity.runtimes._tensorflow import TensorFlowRuntime
from parity.runtimes.base import ARTIFACT, Answers, Capabilities, Model, Values

if TYPE_CHECKING:
    from parity.cases.specs import Batch


class SavedModel(TensorFlowRuntime):
    """Answer from the reloaded artifact; gradients are taken in a `tf.function` around it, as fine-tuning does.

    Attributes:
        stored: the file with what the function of the case has made of the next batch, where there is no case.
    """

    name = "saved_model"
    capabilities = Capabilities(
        source=ARTIFACT,
        further_devices=True,
        any_state=True,
        variables=True,
        requires=("tensorflow",),
        timing_worker="parity.latency.in_tensorflow:open_saved_model",
    )

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.stored: Path | None = None

    def module(self) -> Any:
        """Return the artifact, loaded anew."""
        from parity.export import supplied

        return supplied.module(self.model.require_bundle(), self.model.signature, self._made)

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the model's state."""
        return processed(self.model, super().compute(evaluation, batch, device))

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the state `values`."""
        return processed(self.model, super().compute_at(values, evaluation, batch, device))

    def _made(self, data: Any) -> dict[str, Any]:
        """Return the inputs of a user's artifact that the function of the case makes."""
        from parity.export import supplied

        if self.model.case is None:
            assert self.stored is not None
            return supplied.load_texts(self.stored)
        made: Any = self.model.case.corrections.inputs
        return supplied.as_inputs(made(data))
