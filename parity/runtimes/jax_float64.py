"""JAX in float64: the oracle. The same program on the same float32 values, random draws replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from parity.cases.case import State
from parity.cases.specs import Answer, Batch
from parity.core.errors import RuntimeFailureError
from parity.runtimes import BaseRuntime, Model
from parity.runtimes.jax import ask, device, devices, pure_functions
from parity.scoring.arithmetic import in_float64


class Runtime(BaseRuntime):
    """The case's functions, evaluated in float64."""

    def __init__(self, subject: Model) -> None:
        super().__init__(subject)
        case, self.state = subject.require_case()
        self._functions = pure_functions(case)
        self._compiled: dict[tuple[str, int], Callable[..., Any]] = {}

    def devices(self) -> list[str]:
        """JAX's devices."""
        return devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers in float64."""
        return self.compute_from(self.state, evaluation, batch, device)

    def compute_from(self, state: State, evaluation: str, batch: Batch, on: str) -> dict[str, Answer]:
        """The same from another state, which may be float64."""
        key = (evaluation, batch.size)
        try:
            with jax.default_device(device(on)):
                if key not in self._compiled:
                    arguments = (*self.state, batch.data, batch.labels)
                    self._compiled[key] = in_float64(self._functions[evaluation], *arguments)
                return ask(evaluation, self._compiled[key], state, batch)
        except Exception as error:
            raise RuntimeFailureError(f"the oracle failed on {on}: {type(error).__name__}: {error}") from error
