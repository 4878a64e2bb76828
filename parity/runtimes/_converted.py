"""What the runtimes that ask the exported module before it is saved share."""

from typing import Any

from parity.export import Exported
from parity.runtimes._tensorflow import TensorFlowRuntime


class ConvertedRuntime(TensorFlowRuntime):
    """`parity.export.Exported`, its functions wrapped as the subclass says."""

    def module(self) -> Any:
        """The exported module, before it is saved."""
        case, state = self.subject.require_case()
        return Exported(case, state, type(self).wrap)
