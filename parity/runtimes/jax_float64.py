"""JAX in float64: the oracle. The same program on the same values, random draws replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from parity.compat.causes import failed
from parity.runtimes.base import CALLS, CASE, ORACLE, Answers, Capabilities, Model, Runtime, Values

if TYPE_CHECKING:
    from parity.cases.case import State
    from parity.cases.specs import Batch


class JaxFloat64(Runtime):
    """Answer by the case's functions, evaluated in float64."""

    name = "jax_float64"
    capabilities = Capabilities(role=ORACLE, source=CASE, further_devices=True, any_state=True, requires=("jax",))

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        from parity.cases import functions

        case, self.state = model.require_case()
        self._functions = functions.pure_functions(case)
        self._compiled: dict[tuple[str, Any], Callable[..., Any]] = {}

    @classmethod
    def devices(cls) -> list[str]:
        """Return JAX's devices."""
        from parity.cases import jax_devices

        return jax_devices.devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers in float64, from the trained state."""
        return self._compute(self.state, evaluation, batch, device)

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the state `values`, which may be float64."""
        from parity.cases.functions import unflatten

        return self._compute(unflatten(values, self.state), evaluation, batch, device)

    def _compute(self, state: State, evaluation: str, batch: Batch, on: str) -> Answers:
        import jax

        from parity.cases import functions, jax_devices
        from parity.scoring.arithmetic import in_float64

        key = (evaluation, batch.shapes)
        try:
            with jax.default_device(jax_devices.device(on)):
                if key not in self._compiled:
                    arguments = (*self.state, batch.data, batch.labels)
                    self._compiled[key] = in_float64(self._functions[evaluation], *arguments)
                return functions.answers(evaluation, self._compiled[key], state, batch, CALLS)
        except Exception as error:
            raise failed(f"the oracle failed on {on}", error) from error
