"""One runtime in a process of its own: it times the steps that it is asked for, one request a line.

`python -m parity.latency.worker RUNTIME FOLDER THREADS DEVICE`; see `subject` for the folder.
"""

from __future__ import annotations

import gc
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.runtimes import JAX, SAVED_MODEL_FRESH, TF_GRAPH, TF_XLA

if TYPE_CHECKING:
    from parity.latency.steps import Inputs, Steps
    from parity.latency.workload import Workload

LOAD, PREPARE, RESET, TIME, FOOTPRINT = "load", "prepare", "reset", "time", "footprint"
"""What is asked, in this order: to load the workload; to prepare a step at a batch size; to go back to where training
had arrived; to time a step; what it cost."""
TRANSFERS = 5


class Worker:
    """Answers requests.

    Args:
        runtime: one of `latency.RUNTIMES`.
        folder: the workload.
        threads: to compute with.
        device: where.
    """

    def __init__(self, runtime: str, folder: Path, threads: int, device: str) -> None:
        self._runtime, self._folder, self._threads, self._device = runtime, folder, threads, device
        self._steps: Steps
        self._workload: Workload
        self._around = ExitStack()
        self._placed: dict[tuple[str, int], Inputs] = {}

    def load(self) -> dict[str, Any]:
        """Import what the runtime needs, and load the workload.

        Returns:
            `import_ns` and `load_ns`.
        """
        began = time.perf_counter_ns()
        self._import()
        imported = time.perf_counter_ns()
        from parity.latency import workload

        self._workload = workload.read(self._folder)
        self._steps = self._load()
        return {"import_ns": imported - began, "load_ns": time.perf_counter_ns() - imported}

    def _import(self) -> None:
        if self._runtime not in (JAX, SAVED_MODEL_FRESH):
            import jax

            assert jax
        if self._runtime == JAX:
            from parity.latency import in_jax

            assert in_jax
            return
        from parity.latency import in_tensorflow

        in_tensorflow.configure(self._threads)

    def _load(self) -> Steps:
        if self._runtime == JAX:
            from parity.latency import in_jax

            return in_jax.Steps(self._workload, self._device)
        from parity.latency import in_tensorflow

        self._around.enter_context(in_tensorflow.on_device(self._device))
        if self._runtime in (TF_GRAPH, TF_XLA):
            from parity.export import artifact
            from parity.export import conversion as export
            from parity.latency import converted

            wrap = {TF_GRAPH: artifact.graph, TF_XLA: artifact.xla}[self._runtime]
            self._around.enter_context(export.remedied(self._workload.readable_by))  # it is converted when it is called
            return converted.steps(self._workload, wrap, self._device)
        return in_tensorflow.loaded(self._workload, self._device)

    def close(self) -> None:
        """Leave the device, and the remedy."""
        self._around.close()

    def prepare(self, step: str, batch_size: int) -> dict[str, Any]:
        """Put the inputs on the device, compile, call once, and go back to where training had arrived.

        Returns:
            `transfer_ns`, the median of some; `compile_ns`; and `first_call_ns`.
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
        """Go back to where training had arrived."""
        self._steps.reset()
        return {}

    def time(self, step: str, batch_size: int, collect_garbage: bool, told: bool) -> dict[str, Any]:
        """Take a step that was prepared.

        Returns:
            How long it took, `ns`, and where they are to be `told`, its `scalars`.
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
        return {"ns": ns, "scalars": self._steps.scalars(step, result) if told else {}}

    def footprint(self) -> dict[str, Any]:
        """The peak memory and the threads of this process."""
        return {"peak_memory_bytes": peak_memory_bytes(), "threads": threads()}


def peak_memory_bytes() -> int:
    """The peak resident set of this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(re.findall(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[0]) * 1024
    except (OSError, IndexError):  # not Linux; there, a process would inherit what getrusage tells from its parent
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def threads() -> dict[str, int]:
    """The threads of this process by name, numbers left out; empty where the system does not tell."""
    found = Path("/proc/self/task").glob("*/comm")
    names = [path.read_text(encoding="utf-8", errors="replace").strip() for path in found]
    return dict(sorted(Counter(re.sub(r"[\d/_-]+$", "", name) for name in names).items()))


def serve(runtime: str, folder: Path, threads: int, device: str) -> None:
    """Answer the requests on standard input until it closes."""
    from parity.core import processes

    if runtime == SAVED_MODEL_FRESH:
        processes.make_jax_impossible()
    replies, worker = processes.replies(), Worker(runtime, folder, threads, device)
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        LOAD: worker.load, PREPARE: worker.prepare, RESET: worker.reset, TIME: worker.time,
        FOOTPRINT: worker.footprint,
    }  # fmt: skip
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = answers[request.pop("do")](**request)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    worker.close()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
