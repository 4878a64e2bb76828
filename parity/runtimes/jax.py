"""JAX itself, in the dtypes of the case: the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from parity.compat.causes import failed
from parity.runtimes.base import CALLS, CASE, FIRST_CPU, REFERENCE, Answers, Capabilities, Model, Runtime, Values

if TYPE_CHECKING:
    from parity.cases.case import State
    from parity.cases.specs import Batch


class Jax(Runtime):
    """Answer by the case's functions, compiled by `jax.jit`."""

    name = "jax"
    capabilities = Capabilities(
        role=REFERENCE,
        source=CASE,
        further_devices=True,
        any_state=True,
        rounding=True,
        requires=("jax",),
        timing_worker="parity.latency.in_jax:Steps",
    )

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        import jax

        from parity.cases import functions

        case, self.state = model.require_case()
        self._pure = functions.pure_functions(case)
        self._functions = {name: jax.jit(f) for name, f in self._pure.items()}
        self._rounding: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @classmethod
    def devices(cls) -> list[str]:
        """Return JAX's devices."""
        from parity.cases import jax_devices

        return jax_devices.devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the trained state."""
        return self._compute(self.state, evaluation, batch, device)

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the state `values`."""
        from parity.cases.functions import unflatten

        return self._compute(unflatten(values, self.state), evaluation, batch, device)

    def close(self) -> None:
        """Let go what evaluations with rounding have compiled: it takes more memory than a small model."""
        from parity.scoring import one_by_one

        self._rounding.clear()
        one_by_one.forget()

    def _compute(self, state: State, evaluation: str, batch: Batch, on: str) -> Answers:
        import jax

        from parity.cases import functions, jax_devices

        try:
            state, data, labels = jax.device_put((state, batch.data, batch.labels), jax_devices.device(on))
            placed = replace(batch, data=data, labels=labels)
            return functions.answers(evaluation, self._functions[evaluation], state, placed, CALLS)
        except Exception as error:
            raise failed(f"JAX failed on {on}", error) from error

    def compute_with_rounding(self, values: Values, evaluation: str, batch: Batch, seed: int, **how: Any) -> Answers:
        """Return answers with every rounded result off at random; see `parity.scoring.rounding`."""
        import jax

        from parity.cases import functions, jax_devices
        from parity.scoring.rounding import with_rounding

        key = (evaluation, batch.shapes, *sorted(how))
        try:
            with jax.default_device(jax_devices.device(FIRST_CPU)):
                if key not in self._rounding:
                    arguments = (*self.state, batch.data, batch.labels)
                    rounded = with_rounding(self._pure[evaluation], *arguments, **how)
                    self._rounding = {key: rounded}  # the last alone: its programs take memory
                state = functions.unflatten(values, self.state)
                return functions.answers(evaluation, partial(self._rounding[key], seed), state, batch, CALLS)
        except Exception as error:
            raise failed("JAX with rounding failed", error) from error
