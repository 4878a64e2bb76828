"""The converted functions in `tf.function`s."""

from typing import Any

from parity import artifact
from parity.export import Exported
from parity.runtimes._tensorflow import TensorFlowRuntime


class Runtime(TensorFlowRuntime):
    """`parity.export.Exported`, wrapped by `artifact.graph`."""

    wrap = staticmethod(artifact.graph)

    def module(self) -> Any:
        """The exported module, before it is saved."""
        case, state = self.subject.require_case()
        return Exported(case, state, artifact.graph)
