"""A worker, seen from the process that sends the requests."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from parity.compat.causes import of_reply
from parity.core import environment
from parity.core.errors import ParityError
from parity.core.processes import JsonProcess
from parity.latency import TimedRuntime
from parity.latency.worker import FOOTPRINT, LOAD, PREPARE, RESET, TIME, WITHOUT_JAX


class Worker:
    """A runtime in a process of its own. A request that failed is not repeated: its error is raised again.

    Args:
        runtime: what to start.
        folder: the workload; see `workload`.
        device: to compute on.
    """

    def __init__(self, runtime: TimedRuntime, folder: Path, device: str) -> None:
        arguments = ["-m", "parity.latency.worker", runtime.worker, str(folder), device]
        self._name = runtime.name
        self._process = JsonProcess(
            f"the process of {runtime.name}", arguments + [WITHOUT_JAX] * runtime.without_jax, _changes()
        )
        self._ended: ParityError | None = None
        self._asked_to_load = False
        self._replies: dict[tuple[Any, ...], dict[str, Any] | ParityError] = {}

    def load_ahead(self) -> None:
        """Let the process load the workload without waiting for it: how long it takes is not measured."""
        try:
            self._process.send({"do": LOAD})
        except ParityError as error:
            self._ended = error
        self._asked_to_load = True

    @property
    def loaded(self) -> dict[str, Any]:
        """`import_ns` and `load_ns`; see `worker.Worker.load`.

        Raises:
            RuntimeFailureError: it could not load the workload.
        """
        return self._once(LOAD)

    def prepare(self, step: str, batch_size: int) -> dict[str, Any]:
        """Make a step ready, once; return `transfer_ns`, `compile_ns` and `first_call_ns`; see `worker.Worker.prepare`.

        Raises:
            RuntimeFailureError: the runtime cannot load the workload, or cannot take the step.
        """
        self._once(LOAD)
        return self._once(PREPARE, step=step, batch_size=batch_size)

    def reset(self) -> None:
        """Restore the state that training had arrived at.

        Raises:
            RuntimeFailureError: the runtime failed.
        """
        self._ask(RESET)

    def time(
        self, step: str, batch_size: int, collect_garbage: bool = True, scalars: bool = False
    ) -> tuple[int, dict[str, float]]:
        """Take a step that was prepared; return its duration in ns, and its scalars if requested.

        Raises:
            RuntimeFailureError: the runtime failed.
        """
        reply = self._ask(TIME, step=step, batch_size=batch_size, collect_garbage=collect_garbage, scalars=scalars)
        return reply["ns"], reply["scalars"]

    def footprint(self) -> dict[str, Any]:
        """Return `peak_memory_bytes` and `threads`, as they are now.

        Raises:
            RuntimeFailureError: the runtime failed.
        """
        return self._ask(FOOTPRINT)

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _once(self, do: str, **details: Any) -> dict[str, Any]:
        key = (do, *details.values())
        if key not in self._replies:
            try:
                self._replies[key] = self._ask(do, **details)
            except ParityError as error:
                self._replies[key] = error
        found = self._replies[key]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return found

    def _ask(self, do: str, **details: Any) -> dict[str, Any]:
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        try:
            if not (do == LOAD and self._asked_to_load):
                self._process.send({"do": do, **details})
            reply = self._process.receive()
        except ParityError as error:
            self._ended = error
            raise
        if "failure" in reply:
            raise of_reply(f"{self._name}, in a process of its own", reply)
        return reply


KEPT = str(1 << 25)
"""Bytes, the largest value that every glibc accepts as its mmap threshold. By default glibc decides from the sizes of
earlier requests whether it returns memory after a step: a step then has thousands of page faults in one process and
none in another, which changed the latency of the reference case at batch size 256 by a factor of 1.36. So every worker
keeps its memory; see mallopt(3)."""


def _changes() -> dict[str, str | None]:
    """Return the environment of a worker: one CPU device, as many threads for JAX as for TensorFlow, memory as above.

    JAX does not allocate the memory of a GPU in advance: several workers share it.
    """
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", "")).strip()
    return {
        "NPROC": str(environment.cores()), "XLA_FLAGS": flags or None, "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    }  # fmt: skip
