"""The converted functions compiled whole by TensorFlow's XLA."""

from typing import Any

from parity import artifact
from parity.export import Exported
from parity.runtimes._tensorflow import TensorFlowRuntime


class Runtime(TensorFlowRuntime):
    """`parity.export.Exported`, wrapped by `artifact.xla`."""

    wrap = staticmethod(artifact.xla)

    def module(self) -> Any:
        """The exported module, before it is saved."""
        case, state = self.subject.require_case()
        return Exported(case, state, artifact.xla)
