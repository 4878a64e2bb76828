"""One runtime in a process of its own: it times steps on request, one line of JSON each.

`python -m parity.latency.worker MODULE:FUNCTION FOLDER DEVICE [--without-jax]`: the function opens the steps of the
workload in FOLDER; see `latency.TimedRuntime`.
"""

from __future__ import annotations

import gc
import importlib
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.latency.steps import Inputs, Steps
    from parity.latency.workload import Workload

LOAD, PREPARE, RESET, TIME, FOOTPRINT = "load", "prepare", "reset", "time", "footprint"
"""Requests, in this order: load the workload; prepare a step at a batch size; restore the state that training had
arrived at; time a step; return what it cost."""
WITHOUT_JAX = "--without-jax"
TRANSFERS = 5
"""Copies of the inputs to the device, of which the median is kept."""


class Worker:
    """Answers requests.

    Args:
        opener: "module:function" of a function `(workload, device) -> Steps`.
        folder: the workload.
        device: to compute on.
        without_jax: whether jax cannot be imported here; if it can, it is imported first, as a run does.
    """

    def __init__(self, opener: str, folder: Path, device: str, without_jax: bool) -> None:
        self._opener, self._folder, self._device, self._without_jax = opener, folder, device, without_jax
        self._steps: Steps
        self._workload: Workload
        self._open = ExitStack()
        self._placed: dict[tuple[str, int], Inputs] = {}

    def load(self) -> dict[str, Any]:
        """Import what the runtime needs, and load the workload.

        Returns:
            `import_ns` and `load_ns`.
        """
        module, _, function = self._opener.partition(":")
        began = time.perf_counter_ns()
        if not self._without_jax:
            importlib.import_module("jax")
        opener: Callable[[Workload, str], Steps] = getattr(importlib.import_module(module), function)
        imported = time.perf_counter_ns()
        from parity.latency import workload

        self._workload = workload.read(self._folder)
        self._steps = self._open.enter_context(closing(opener(self._workload, self._device)))
        return {"import_ns": imported - began, "load_ns": time.perf_counter_ns() - imported}

    def close(self) -> None:
        """Close the steps."""
        self._open.close()

    def prepare(self, step: str, batch_size: int) -> dict[str, Any]:
        """Copy the inputs to the device, compile, call once, and restore the state.

        Returns:
            `transfer_ns`, the median of `TRANSFERS`; `compile_ns`; and `first_call_ns`.
        """
        from parity.latency.steps import inputs

        arrays = inputs(step, self._workload.batch(batch_size))
        transfers = []
        for _ in range(TRANSFERS):
            began = time.perf_counter_ns()
            placed = self._steps.put(arrays)
            transfers.append(time.perf_counter_ns() - began)
        began = time.perf_counter_ns()
        self._steps.compile(step, placed)
        compiled = time.perf_counter_ns()
        self._steps.call(step, placed)
        first = time.perf_counter_ns() - compiled
        self._steps.reset()
        self._placed[step, batch_size] = placed
        return {
            "transfer_ns": statistics.median(transfers), "compile_ns": compiled - began, "first_call_ns": first,
        }  # fmt: skip

    def reset(self) -> dict[str, Any]:
        """Restore the state that training had arrived at."""
        self._steps.reset()
        return {}

    def time(self, step: str, batch_size: int, collect_garbage: bool, scalars: bool) -> dict[str, Any]:
        """Take a step that was prepared.

        Returns:
            Its duration `ns`, and its `scalars` if requested.
        """
        placed, call = self._placed[step, batch_size], self._steps.call
        if not collect_garbage:
            gc.disable()
        try:
            began = time.perf_counter_ns()
            result = call(step, placed)
            ns = time.perf_counter_ns() - began
        finally:
            gc.enable()
        return {"ns": ns, "scalars": self._steps.scalars(step, result) if scalars else {}}

    def footprint(self) -> dict[str, Any]:
        """Return the peak memory and the threads of this process."""
        return {"peak_memory_bytes": peak_memory_bytes(), "threads": threads()}


def peak_memory_bytes() -> int:
    """Return the peak resident set of this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(re.findall(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[0]) * 1024
    except (OSError, IndexError):  # not Linux, where getrusage would include the parent's peak
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def threads() -> dict[str, int]:
    """Return the number of threads of this process by name, without digits; empty where there is no /proc."""
    found = Path("/proc/self/task").glob("*/comm")
    names = [path.read_text(encoding="utf-8", errors="replace").strip() for path in found]
    return dict(sorted(Counter(re.sub(r"[\d/_-]+$", "", name) for name in names).items()))


def serve(worker: Worker) -> None:
    """Answer the requests on standard input until it closes."""
    from parity.core import processes

    replies = processes.replies()
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        LOAD: worker.load, PREPARE: worker.prepare, RESET: worker.reset, TIME: worker.time,
        FOOTPRINT: worker.footprint,
    }  # fmt: skip
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = answers[request.pop("do")](**request)
        except Exception as error:
            from parity.compat.causes import as_reply

            reply = as_reply(error)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    worker.close()


if __name__ == "__main__":
    without_jax = WITHOUT_JAX in sys.argv
    if without_jax:
        from parity.core.processes import block_jax

        block_jax()
    serve(Worker(sys.argv[1], Path(sys.argv[2]), sys.argv[3], without_jax))
