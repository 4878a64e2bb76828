"""The converted functions, run by TensorFlow operation by operation."""

from typing import Any

from parity import artifact
from parity.export import Exported
from parity.runtimes._tensorflow import TensorFlowRuntime


class Runtime(TensorFlowRuntime):
    """`parity.export.Exported`, wrapped by `artifact.eager`."""

    wrap = staticmethod(artifact.eager)

    def module(self) -> Any:
        """The exported module, before it is saved."""
        case, state = self.subject.require_case()
        return Exported(case, state, artifact.eager)
