"""Times the steps of a case: asks the workers in turn, and judges whether the right program was workload."""

from __future__ import annotations

import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from parity import records
from parity.core import environment
from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.failures import NUMERIC, classify
from parity.export import conversion as export
from parity.handover.course import Point
from parity.latency import PREDICT, Effort, Group, in_jax, steps, timing, workload
from parity.latency.process import Worker
from parity.latency.timing import Interval, Measured
from parity.records import Footprint, Timing
from parity.runtimes import JAX, SAVED_MODEL, SAVED_MODEL_FRESH
from parity.runtimes.preparation import outcome
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult

TOLERANCE = 1e-3
"""By how much each scalar of a step may differ from JAX's, relative: what tells it from another step, no more. What it
computes is judged by the probes."""
OF_ONE_EXAMPLE = 0.25
"""The same for the size of the gradient at batch size 1: what lies in front of a batch normalisation then has a
gradient of exactly zero in JAX and of rounding in TensorFlow, 3 % of the whole in the reference case."""
SAME_PROGRAM, ROUNDS = "same_program", "rounds"


@dataclass
class Found:
    """What was found of a group, by runtime: how it was prepared, the scalars of its first rounds, or how it failed.

    `load` is the load average when it had been measured.
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
        name: by which `parity.cases.case.load` finds it.
        asked: the runtimes that are asked of each group; JAX is measured beside them all.
        largest: the largest batch size, at which each runtime is first called.
        effort: how much is measured.
    """

    def __init__(
        self, subject: Subject, name: str, asked: dict[Group, list[str]], largest: int, effort: Effort
    ) -> None:
        self.effort, self.largest = effort, largest
        self._subject, self._name, self._asked = subject, name, asked
        self._folder = tempfile.TemporaryDirectory(prefix="parity-latency-")
        self._workers: dict[tuple[str, str], Worker] = {}
        self._found: dict[Group, Found] = {}
        self._unexported: ParityError | None = None

    @outcome
    def _workload(self) -> workload.Workload:
        """What is workload, but for the SavedModel; how that cannot be exported at all is kept."""
        trained, case = self._subject.trained, self._subject.case
        try:
            assert self._subject.bundle
        except ParityError as error:
            self._unexported = error
        timed = workload.Workload(
            Path(self._folder.name) / case.name, self._name, export.signature(case, trained.state),
            trained.steps_per_epoch, self._subject.remedy.requirement if self._subject.remedy else None,
        )  # fmt: skip
        examples, sizes = self._subject.dataset.test, {self.largest, *(group.batch_size for group in self._asked)}
        workload.write(timed, in_jax.leaves(Point.of(trained)), {n: workload.tiled(examples, n) for n in sizes})
        return timed

    @outcome
    def _exported(self) -> tuple[float, int]:
        """The SavedModel: how many ns its export took, and its bytes."""
        from parity.latency import converted

        workload = self._workload
        began = time.perf_counter_ns()
        try:
            converted.save(self._subject.case, Point.of(self._subject.trained), workload)
        except Exception as error:
            raise RuntimeFailureError(
                f"the workload of case {self._subject.case.name!r} cannot be exported: {type(error).__name__}: {error}"
            ) from error
        took = time.perf_counter_ns() - began
        return took, sum(path.stat().st_size for path in workload.saved_model.rglob("*") if path.is_file())

    def _worker(self, runtime: str, device: str) -> Worker:
        workload = self._workload
        if runtime != JAX and self._unexported is not None:
            raise self._unexported.with_traceback(None)
        if runtime in (SAVED_MODEL, SAVED_MODEL_FRESH):
            assert self._exported
        key = (runtime, device)
        if key not in self._workers:
            self._workers[key] = Worker(runtime, workload.path, device)
        assert self._workers[key].loaded
        with suppress(ParityError):  # it is kept for those who ask that; other steps may work
            self._workers[key].prepare(PREDICT, self.largest)  # first, so that its first call is a new process'
        return self._workers[key]

    def of(self, group: Group) -> Found:
        """Measure a group, once."""
        if group not in self._found:
            found = self._found[group] = Found()
            for runtime in dict.fromkeys([JAX, *self._asked[group]]):
                try:
                    found.prepared[runtime] = self._worker(runtime, group.device).prepare(group.step, group.batch_size)
                except ParityError as error:
                    found.failed[runtime] = error
            self._measure(group, found)
            found.load = environment.load()
        return self._found[group]

    def _measure(self, group: Group, found: Found) -> None:
        """Measure those that work; whoever fails meanwhile is left out, and the others are measured again."""
        ways = {r: partial(self._one, group, r, found) for r in found.prepared if r not in found.failed}
        found.scalars = {runtime: [] for runtime in ways}
        try:
            for runtime in ways:
                self._reset(group, runtime, found)
            if self.effort.timed and ways:
                found.measured = timing.interleaved(
                    ways, reference=JAX if JAX in ways else None, budget_s=self.effort.budget_s * len(ways),
                    min_rounds=self.effort.min_rounds, precision=self.effort.precision,
                    seed=zlib.crc32(repr(group).encode()),
                )  # fmt: skip
            else:
                for way in ways.values():
                    way()
        except ParityError:
            self._measure(group, found)

    def _reset(self, group: Group, runtime: str, found: Found) -> None:
        try:
            self._workers[runtime, group.device].reset()
        except ParityError as error:
            found.failed[runtime] = error
            raise

    def _one(self, group: Group, runtime: str, found: Found) -> int:
        told = len(found.scalars[runtime]) < timing.WARM_UP
        try:
            ns, scalars = self._workers[runtime, group.device].time(
                group.step, group.batch_size, self.effort.collect_garbage, told
            )
            if ns <= 0:
                raise RuntimeFailureError(f"{group.step} took {runtime} {ns} ns, expected more: see its clock")
        except ParityError as error:
            found.failed[runtime] = error
            raise
        if told:
            found.scalars[runtime].append(scalars)
        return ns

    def timing(self, group: Group, runtime: str) -> Timing | None:
        """What was measured of a runtime; None where nothing was to be workload.

        Raises:
            ParityError: the runtime failed.
        """
        found = self.of(group)
        found.require(runtime)
        measured = found.measured
        if measured is None:
            return None
        median, times = measured.medians[runtime], measured.times_ns[runtime]
        return Timing(
            case=self._subject.case.name, runtime=runtime, **group._asdict(), median_ns=median.value,
            low_ns=median.low, high_ns=median.high, times_ns=times, narrow=measured.narrow(runtime),
            outliers=timing.outliers(times), load=found.load, **found.prepared[runtime],
            **_ratio(measured.ratios.get(runtime)),
        )  # fmt: skip

    def results(self, group: Group, runtime: str) -> list[LeafResult]:
        """Whether the step that was timed is JAX's, and how often it was."""
        found = self.of(group)
        found.require(runtime)
        judged = [_same_program(found, runtime, group.batch_size)]
        if self.effort.timed:
            judged.append(_rounds(found.measured, runtime, self.effort.min_rounds))
        return judged

    def footprint(self, runtime: str, device: str) -> Footprint:
        """What a runtime costs, after all that it has been asked before.

        Raises:
            ParityError: the runtime failed.
        """
        opened = self._worker(runtime, device)
        loads = runtime in (SAVED_MODEL, SAVED_MODEL_FRESH)
        export_ns, artifact_bytes = self._exported if loads else (None, None)
        first = opened.prepare(PREDICT, self.largest)
        return Footprint(
            self._subject.case.name, runtime, self.largest, **opened.loaded,
            first_call_ns=first["compile_ns"] + first["first_call_ns"], export_ns=export_ns,
            artifact_bytes=artifact_bytes, **opened.footprint(),
        )  # fmt: skip

    def close(self) -> None:
        """End the workers, and remove what they read."""
        for opened in self._workers.values():
            opened.close()
        self._folder.cleanup()


def _ratio(found: Interval | None) -> dict[str, Any]:
    return {"ratio": found.value, "ratio_low": found.low, "ratio_high": found.high} if found else {}


def _same_program(found: Found, runtime: str, batch_size: int) -> LeafResult:
    if JAX in found.failed:
        failure = classify(str(found.failed[JAX]))
        why = f"nothing to compare with, because jax failed: {found.failed[JAX]}"
        return LeafResult(SAME_PROGRAM, records.ERROR, failure=failure.kind, evidence=failure.evidence, message=why)
    own, jax = found.scalars[runtime], found.scalars[JAX]
    if not own or [list(scalars) for scalars in own] != [list(scalars) for scalars in jax]:
        why = f"{len(own)} rounds of {runtime} were told, expected {len(jax)} of the scalars that jax has"
        return LeafResult(SAME_PROGRAM, records.FAIL, failure=NUMERIC, evidence=why, message=why)
    pairs = [(name, a[name], b[name]) for a, b in zip(own, jax, strict=True) for name in b]
    apart = max(abs(a - b) for _, a, b in pairs)
    tolerances = {steps.GRADIENT: OF_ONE_EXAMPLE} if batch_size == 1 else {}
    bad = [
        f"{name} {a:.6g}, expected {b:.6g}" for name, a, b in pairs
        if not abs(a - b) <= tolerances.get(name, TOLERANCE) * abs(b)
    ]  # fmt: skip
    if not bad:
        return LeafResult(SAME_PROGRAM, records.PASS, max_abs_diff=apart)
    why = f"the step that was timed gives {'; '.join(bad)} as in jax: it is another program"
    return LeafResult(SAME_PROGRAM, records.FAIL, max_abs_diff=apart, failure=NUMERIC, evidence=why, message=why)


def _rounds(measured: Measured | None, runtime: str, least: int) -> LeafResult:
    times = measured.times_ns.get(runtime, []) if measured else []
    if len(times) >= least:
        return LeafResult(ROUNDS, records.PASS)
    why = f"{len(times)} rounds were measured, expected at least {least}"
    return LeafResult(ROUNDS, records.FAIL, failure=NUMERIC, evidence=why, message=why)
