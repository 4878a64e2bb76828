"""A worker, seen from the process that asks it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from parity.core import environment
from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.processes import Answering
from parity.latency.worker import FOOTPRINT, LOAD, PREPARE, RESET, TIME


class Worker:
    """A runtime in a process of its own, loaded.

    Args:
        runtime: one of `latency.RUNTIMES`.
        folder: the workload; see `workload`.
        device: where it computes.
    """

    def __init__(self, runtime: str, folder: Path, device: str) -> None:
        arguments = ["-m", "parity.latency.worker", runtime, str(folder), str(environment.cores()), device]
        self._runtime = runtime
        self._process = Answering(f"the process of {runtime}", arguments, _changes())
        self._failed: ParityError | None = None
        self._prepared: dict[tuple[str, int], dict[str, Any] | ParityError] = {}
        self._loaded: dict[str, Any] | None = None

    @property
    def loaded(self) -> dict[str, Any]:
        """`import_ns` and `load_ns`; see `worker.Worker.load`.

        Raises:
            RuntimeFailureError: it could not load what is workload.
        """
        if self._loaded is None:
            self._loaded = self._ask(LOAD, fatal=True)
        return self._loaded

    def prepare(self, step: str, batch_size: int) -> dict[str, Any]:
        """`transfer_ns`, `compile_ns` and `first_call_ns` of a step, made ready once; see `worker.Worker.prepare`.

        What failed is not tried again.

        Raises:
            RuntimeFailureError: the runtime cannot take the step.
        """
        assert self.loaded
        key = (step, batch_size)
        if key not in self._prepared:
            try:
                self._prepared[key] = self._ask(PREPARE, step=step, batch_size=batch_size)
            except ParityError as error:
                self._prepared[key] = error
        found = self._prepared[key]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return found

    def reset(self) -> None:
        """Go back to where training had arrived.

        Raises:
            RuntimeFailureError: the runtime failed.
        """
        self._ask(RESET)

    def time(
        self, step: str, batch_size: int, collect_garbage: bool = True, told: bool = False
    ) -> tuple[int, dict[str, float]]:
        """Take a step that was prepared: how many ns it took, and where they are to be `told`, its scalars.

        Raises:
            RuntimeFailureError: the runtime failed.
        """
        reply = self._ask(TIME, step=step, batch_size=batch_size, collect_garbage=collect_garbage, told=told)
        return reply["ns"], reply["scalars"]

    def footprint(self) -> dict[str, Any]:
        """`peak_memory_bytes` and `threads`, as they are now."""
        return self._ask(FOOTPRINT)

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _ask(self, do: str, fatal: bool = False, **details: Any) -> dict[str, Any]:
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        try:
            self._process.send({"do": do, **details})
            reply = self._process.receive()
        except ParityError as error:
            self._failed = error  # whatever is asked next, it has ended
            raise
        if "error" in reply:
            failed = RuntimeFailureError(f"{self._runtime}, in a process of its own: {reply['error']}")
            self._failed = failed if fatal else None
            raise failed
        return reply


KEPT = str(1 << 25)
"""Bytes, the most that every glibc takes as its threshold. Whether it gives memory back after a step depends on what it
was asked for before, at random: a step then has thousands of page faults in one process and none in another, which made
1.36 of the latency of the reference case at batch size 256. So it keeps what it has, in every process; see mallopt(3).
"""


def _changes() -> dict[str, str | None]:
    """One CPU device, and as many threads for JAX as TensorFlow is given; JAX leaves memory of a GPU to others."""
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", "")).strip()
    return {
        "NPROC": str(environment.cores()), "XLA_FLAGS": flags or None, "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    }  # fmt: skip
