"""Time the steps of a case: ask the workers in turn, and check that every runtime runs the reference's program."""

from __future__ import annotations

import math
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from parity import records
from parity.compat.causes import failed
from parity.core import environment
from parity.core.cached import Cached
from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.failures import NUMERIC, of
from parity.export import conversion as export
from parity.handover.train_state import TrainState
from parity.latency import PREDICT, STEPS, Effort, Group, TimedRuntime, in_jax, steps, timing, workload
from parity.latency.process import Worker
from parity.latency.timing import Measured
from parity.records import Footprint, Timing
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult

TOLERANCE = 1e-3
"""Relative difference of each scalar of a step from the reference's that still counts as the same program. It is wide:
the probes check the numbers."""
TOLERANCE_OF_ONE_EXAMPLE = 0.25
"""The same for the size of the gradient at batch size 1: before a batch normalisation it is exactly zero in JAX and
rounding in TensorFlow, 3 % of the whole in the reference case."""
SAME_PROGRAM, ROUNDS = "same_program", "rounds"


@dataclass
class Found:
    """What was found about a group.

    Attributes:
        prepared, scalars, failed: by runtime, the reply to `prepare`, the scalars of its first rounds, and its error.
        measured: the times; None where nothing was timed.
        load: the load average afterwards.
    """

    prepared: dict[str, dict[str, Any]] = field(default_factory=dict)
    scalars: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    failed: dict[str, ParityError] = field(default_factory=dict)
    measured: Measured | None = None
    load: float | None = None

    def require(self, runtime: str) -> None:
        """Check that `runtime` was measured.

        Raises:
            ParityError: how it failed.
        """
        if runtime in self.failed:
            raise self.failed[runtime].with_traceback(None)


class Latency:
    """The latency of one case.

    Args:
        subject: the case.
        name: by which `parity.cases.loading.load` finds it.
        planned: the runtimes of each group; the reference is measured with all of them.
        runtimes: all of them, by name; the others are compared with the one that is the reference.
        largest: the largest batch size, at which each runtime is called first.
        effort: how much is measured.
        footprints: whether footprints are, for which every process must load alone.
    """

    def __init__(
        self, subject: Subject, name: str, planned: Mapping[Group, list[TimedRuntime]],
        runtimes: Mapping[str, TimedRuntime], largest: int, effort: Effort, footprints: bool = True,
    ) -> None:  # fmt: skip
        self._subject, self._name, self._planned, self._runtimes = subject, name, planned, runtimes
        self._largest, self._effort, self._footprints = largest, effort, footprints
        [self._reference] = [runtime for runtime in runtimes.values() if runtime.is_reference]
        self._folder = tempfile.TemporaryDirectory(prefix="parity-latency-")
        self._workers: dict[tuple[str, str], Worker] = {}
        self._found: dict[Group, Found] = {}
        self._unexported: ParityError | None = None
        self._written = Cached(self._write_workload)
        self._exported = Cached(self._export)

    def _write_workload(self) -> workload.Workload:
        """Write the workload without its SavedModel. A failed export concerns all runtimes but the reference."""
        try:
            _ = self._subject.bundle
        except ParityError as error:
            self._unexported = error
        sizes = {self._largest, *(group.batch_size for group in self._planned)}
        remedy = self._subject.remedy
        return write_workload(
            Path(self._folder.name) / "workload",
            self._subject,
            self._name,
            sizes,
            remedy.requirement if remedy else None,
        )

    def _export(self) -> tuple[int, int]:
        """Write the SavedModel; return the duration of its export in ns, and its bytes."""
        from parity.latency import converted

        workload, case = self._written.get(), self._subject.case
        began = time.perf_counter_ns()
        try:
            timed = STEPS if self._footprints else {group.step for group in self._planned}
            converted.save(case, TrainState.of(self._subject.trained), workload, timed)
        except Exception as error:
            raise failed(f"the workload of case {case.name!r} cannot be exported", error) from error
        took = time.perf_counter_ns() - began
        return took, sum(path.stat().st_size for path in workload.saved_model.rglob("*") if path.is_file())

    def _started(self, runtime: TimedRuntime, device: str) -> Worker:
        """Return the process of a runtime, which need not have loaded the workload."""
        workload = self._written.get()
        if self._unexported is not None and not runtime.is_reference:
            raise self._unexported.with_traceback(None)
        if runtime.needs_artifact:
            _ = self._exported.get()
        key = (runtime.name, device)
        if key not in self._workers:
            self._workers[key] = Worker(runtime, workload.path, device)
            if not self._footprints:
                self._workers[key].load_ahead()
        return self._workers[key]

    def _worker(self, runtime: TimedRuntime, device: str) -> Worker:
        worker = self._started(runtime, device)
        with suppress(ParityError):  # raised again for this step; other steps may work
            worker.prepare(PREDICT, self._largest)  # first of all: a footprint has the first call
        return worker

    def _load_together(self, runtimes: Iterable[TimedRuntime], device: str) -> None:
        """Let several processes load at the same time, and wait for all of them, before anything is measured."""
        started = []
        for runtime in runtimes:
            with suppress(ParityError):  # raised again by each of its steps
                started.append(self._started(runtime, device))
        for worker in started:
            with suppress(ParityError):
                _ = worker.loaded

    def group(self, group: Group) -> Found:
        """Measure a group, once."""
        if group not in self._found:
            found = self._found[group] = Found()
            runtimes = dict.fromkeys([self._reference, *self._planned[group]])
            if not self._footprints:
                self._load_together(runtimes, group.device)
            for runtime in runtimes:
                try:
                    worker = self._worker(runtime, group.device)
                    found.prepared[runtime.name] = worker.prepare(group.step, group.batch_size)
                except ParityError as error:
                    found.failed[runtime.name] = error
            self._measure(group, found)
            found.load = environment.load()
        return self._found[group]

    def _measure(self, group: Group, found: Found) -> None:
        """Measure the runtimes that work; if one fails meanwhile, leave it out and measure the others again."""
        names = [name for name in found.prepared if name not in found.failed]
        timers = {name: partial(self._time_once, group, name, found) for name in names}
        found.scalars = {name: [] for name in names}
        try:
            for name in names:
                with _failing(found, name):
                    self._workers[name, group.device].reset()
            if self._effort.timed and names:
                found.measured = timing.interleaved(
                    timers, reference=self._reference.name if self._reference.name in names else None,
                    budget_s=self._effort.budget_s * len(names), min_rounds=self._effort.min_rounds,
                    precision=self._effort.precision, seed=zlib.crc32(repr(group).encode()),
                )  # fmt: skip
            else:
                for timer in timers.values():
                    timer()
        except ParityError:
            self._measure(group, found)

    def _time_once(self, group: Group, name: str, found: Found) -> int:
        scalars = len(found.scalars[name]) < timing.WARM_UP
        with _failing(found, name):
            ns, values = self._workers[name, group.device].time(
                group.step, group.batch_size, self._effort.collect_garbage, scalars
            )
            if ns <= 0:
                raise RuntimeFailureError(f"{group.step} took {name} {ns} ns, expected more: see its clock")
        if scalars:
            found.scalars[name].append(values)
        return ns

    def timing(self, group: Group, runtime: str) -> Timing | None:
        """Return what was measured of a runtime; None where nothing is timed.

        Raises:
            ParityError: the runtime failed.
        """
        found = self.group(group)
        found.require(runtime)
        measured = found.measured
        if measured is None:
            return None
        median, times, ratio = measured.medians[runtime], measured.times_ns[runtime], measured.ratios.get(runtime)
        ends: tuple[Any, ...] = (ratio.value, ratio.low, ratio.high) if ratio else (None, None, None)
        return Timing(
            case=self._subject.case.name, runtime=runtime, **group._asdict(), median_ns=median.value,
            low_ns=median.low, high_ns=median.high, times_ns=times, narrow=measured.narrow(runtime),
            outliers=timing.outliers(times), load=found.load, **found.prepared[runtime],
            ratio=ends[0], ratio_low=ends[1], ratio_high=ends[2],
        )  # fmt: skip

    def results(self, group: Group, runtime: str) -> list[LeafResult]:
        """Return whether the step that was timed is the reference's, and whether it was timed often enough.

        Raises:
            ParityError: the runtime failed.
        """
        found = self.group(group)
        found.require(runtime)
        results = [judge_program(found, runtime, self._reference.name, group.batch_size)]
        if self._effort.timed:
            results.append(judge_rounds(found.measured, runtime, self._effort.min_rounds))
        return results

    def footprint(self, runtime: str, device: str) -> Footprint:
        """Return what a runtime costs, including all requests before.

        Raises:
            ParityError: the runtime failed.
        """
        timed = self._runtimes[runtime]
        worker = self._worker(timed, device)
        export_ns, artifact_bytes = self._exported.get() if timed.needs_artifact else (None, None)
        first = worker.prepare(PREDICT, self._largest)
        return Footprint(
            self._subject.case.name, runtime, self._largest, **worker.loaded,
            first_call_ns=first["compile_ns"] + first["first_call_ns"], export_ns=export_ns,
            artifact_bytes=artifact_bytes, **worker.footprint(),
        )  # fmt: skip

    def close(self) -> None:
        """End the workers, and remove what they read."""
        for worker in self._workers.values():
            worker.close()
        self._folder.cleanup()


def write_workload(
    path: Path, subject: Subject, name: str, sizes: Iterable[int], readable_by: str | None = None
) -> workload.Workload:
    """Write the workload of a subject without its SavedModel.

    Args:
        path: the new folder.
        subject: the case; it is trained now if it is not yet.
        name: by which `parity.cases.loading.load` finds the case.
        sizes: the batch sizes of the examples.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.
    """
    trained = subject.trained
    signature = export.signature(subject.case, trained.state)
    written = workload.Workload(path, name, signature, trained.steps_per_epoch, readable_by)
    batches = {size: workload.tiled(subject.dataset.test, size) for size in sizes}
    workload.write(written, in_jax.leaves(TrainState.of(trained)), batches)
    return written


@contextmanager
def _failing(found: Found, name: str) -> Iterator[None]:
    """Note the error of a runtime."""
    try:
        yield
    except ParityError as error:
        found.failed[name] = error
        raise


def judge_program(found: Found, runtime: str, reference: str, batch_size: int) -> LeafResult:
    """Return whether the scalars of a runtime's first rounds are those of the reference, within `TOLERANCE`."""
    if reference in found.failed:
        failure = of(found.failed[reference])
        why = f"nothing to compare with, because {reference} failed: {found.failed[reference]}"
        return LeafResult(SAME_PROGRAM, records.ERROR, failure=failure.kind, evidence=failure.evidence, message=why)
    own, expected = found.scalars[runtime], found.scalars[reference]
    if not own or [list(scalars) for scalars in own] != [list(scalars) for scalars in expected]:
        why = f"{len(own)} rounds of {runtime} have scalars, expected the {len(expected)} of {reference}, alike named"
        return LeafResult(SAME_PROGRAM, records.FAIL, failure=NUMERIC, evidence=why, message=why)
    pairs = [(name, a[name], b[name]) for a, b in zip(own, expected, strict=True) for name in b]
    apart = max(_apart(a, b) for _, a, b in pairs)
    tolerances = {steps.GRADIENT: TOLERANCE_OF_ONE_EXAMPLE} if batch_size == 1 else {}
    bad = [
        f"{name} {a:.6g}, expected {b:.6g}" for name, a, b in pairs
        if not (_apart(a, b) == 0 or _apart(a, b) <= tolerances.get(name, TOLERANCE) * abs(b) < math.inf)
    ]  # fmt: skip
    if not bad:
        return LeafResult(SAME_PROGRAM, records.PASS, max_abs_diff=apart)
    why = f"the step that was timed gives {'; '.join(bad)} as in {reference}: it is another program"
    return LeafResult(SAME_PROGRAM, records.FAIL, max_abs_diff=apart, failure=NUMERIC, evidence=why, message=why)


def _apart(a: float, b: float) -> float:
    """Return how far two scalars are apart: 0 where both are the same infinity or NaN."""
    return 0.0 if a == b or (math.isnan(a) and math.isnan(b)) else abs(a - b)


def judge_rounds(measured: Measured | None, runtime: str, least: int) -> LeafResult:
    """Return whether a runtime was timed in at least `least` rounds."""
    times = measured.times_ns.get(runtime, []) if measured else []
    if len(times) >= least:
        return LeafResult(ROUNDS, records.PASS)
    why = f"{len(times)} rounds were measured, expected at least {least}"
    return LeafResult(ROUNDS, records.FAIL, failure=NUMERIC, evidence=why, message=why)
