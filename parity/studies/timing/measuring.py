"""Timing calibration: how often the measured interval of a ratio is right; see `parity.records.timing_calibration`.

A step is measured against itself in another process, since every runtime has a process of its own: two processes of one
program differ in speed by up to `parity.records.measures.BETWEEN_PROCESSES`. There are 4 processes of each step, and
trials take their 12 ordered pairs in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import msgspec
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import parse_compare_fail

from parity import records
from parity.core import environment
from parity.core.progress import Report, silent
from parity.latency import FORWARD_BACKWARD, timed_runtimes, timing
from parity.latency.measuring import write_workload
from parity.latency.process import Worker
from parity.latency.timing import Timer
from parity.latency.workload import Workload
from parity.records.numbers import short
from parity.records.timing_calibration import COMMAND, PLAIN, SCHEMA, SLOWDOWN, Series, Study, Trial
from parity.runtimes.subject import Subject

BUDGET_S = 60.0
"""For a trial, which ends as soon as the interval of the ratio is narrow enough: beside a busy process on two cores
after up to 1,400 rounds, for which the default budget is too short."""
MAX_ROUNDS = 2000
PROCESSES = 4
"""Processes of each step; trials take their ordered pairs in turn."""
PLAIN_S, PLAIN_LEAST = 0.4, 5
"""For the plain mean of a side: seconds, less than pytest-benchmark's default of 1, so that the study takes about 40
minutes; and the least number of rounds."""
FIRST, SECOND = "first", "second"
BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""
"""Ends when its standard input is closed, however this process ends."""


class Step(NamedTuple):
    """A step to measure."""

    runtime: str
    step: str
    batch_size: int


def default_steps() -> list[Step]:
    """Return a step of the reference, and of the first runtime that converts the case; half of the trials each.

    Both take milliseconds on the reference case, so that many rounds are possible.
    """
    timed = list(timed_runtimes().values())
    reference = next(runtime for runtime in timed if runtime.is_reference)
    converted = next(runtime for runtime in timed if not (runtime.is_reference or runtime.needs_artifact))
    return [Step(runtime.name, FORWARD_BACKWARD, 13) for runtime in (reference, converted)]


def measure(subject: Subject, name: str, trials: int, steps: Sequence[Step] = (), progress: Report = silent) -> Study:
    """Measure all steps, on the machine as it is and then beside a busy process; return the study.

    Args:
        subject: of the case.
        name: by which `parity.cases.loading.load` finds it.
        trials: of each slowdown and load, divided among the steps.
        steps: what to measure; `default_steps()` if empty.
        progress: called after each trial.

    Raises:
        RuntimeFailureError: a runtime failed.
    """
    steps = steps or default_steps()
    began, machine, versions, made_at = time.monotonic(), environment.machine(), environment.versions(), records.now()
    loads: dict[str, list[float]] = {}
    series: list[Series] = []
    with tempfile.TemporaryDirectory(prefix="parity-timing-") as folder:
        timed = write_workload(Path(folder) / "timed", subject, name, {step.batch_size for step in steps})
        for loaded in (False, True):
            before = environment.load() or 0.0
            with _busy() if loaded else nullcontext():
                series += _half(timed, steps, trials, loaded, progress)
                loads["loaded" if loaded else "as it was"] = [before, environment.load() or 0.0]
    return Study(
        SCHEMA, COMMAND, made_at, round(time.monotonic() - began, 1), versions, machine, loads, timing.LEVEL,
        timing.PRECISION, BUDGET_S, PLAIN, series, MAX_ROUNDS,
    )  # fmt: skip


@contextmanager
def _busy() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is always busy."""
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.communicate()  # closes its standard input, and waits


def _half(workload: Workload, steps: Sequence[Step], trials: int, loaded: bool, progress: Report) -> list[Series]:
    """Return the trials of all steps, taken in turn, so that changes over time affect all alike."""
    found = [Series(*step, loaded, by, 0.0, []) for step in steps for by in (1.0, SLOWDOWN)]
    times: dict[Step, list[float]] = {step: [] for step in steps}
    with ExitStack() as opened:
        pairs = {step: list(permutations(_timers(opened, workload, step), 2)) for step in steps}
        for number in range(trials):
            turn, at = divmod(number, len(steps))
            step = steps[at]
            first, second = pairs[step][turn % len(pairs[step])]
            for series in found:
                if (series.runtime, series.step, series.batch_size) == step:
                    one, median_ns = trial(first, slowed(second, series.slowdown), number)
                    series.trials.append(one)
                    times[step].append(median_ns)
            progress("beside a busy process" if loaded else "on the machine as it is", number + 1, trials)
    return [
        msgspec.structs.replace(s, median_ns=round(statistics.median(times[Step(s.runtime, s.step, s.batch_size)])))
        for s in found
        if s.trials
    ]


def _timers(opened: ExitStack, workload: Workload, step: Step) -> list[Timer]:
    """Return timers of the step, each in a process of its own, which ends with `opened`."""

    def timer() -> Timer:
        worker = Worker(timed_runtimes()[step.runtime], workload.path, "cpu:0")
        opened.callback(worker.close)
        worker.prepare(step.step, step.batch_size)
        return lambda: worker.time(step.step, step.batch_size)[0]

    return [timer() for _ in range(PROCESSES)]


def slowed(timer: Timer, by: float) -> Timer:
    """Return a timer that spins after `timer` until `by` times its own duration has passed; `timer` itself if 1."""
    if by == 1:
        return timer

    def slower() -> int:
        ns, began = timer(), time.perf_counter_ns()
        while time.perf_counter_ns() - began < (by - 1) * ns:
            pass
        return ns + time.perf_counter_ns() - began

    return slower


def trial(first: Timer, second: Timer, seed: int) -> tuple[Trial, float]:
    """Return the ratio of the second timer to the first, as latency is measured and by plain means.

    Beside it, the median of the first in ns.
    """
    measured = timing.interleaved(
        {FIRST: first, SECOND: second}, reference=FIRST, budget_s=BUDGET_S, max_rounds=MAX_ROUNDS, seed=seed,
        enough=lambda found: found.ratios[SECOND].half_width <= found.precision,
    )  # fmt: skip
    ratio = measured.ratios[SECOND]
    means = [_mean(timer, measured.rounds) for timer in (first, second)]
    growth = 1 + parse_compare_fail(PLAIN).compute(means[1], means[0]) / 100
    value, low, high, growth = (short(number, 6) for number in (ratio.value, ratio.low, ratio.high, growth))
    return Trial(value, low, high, measured.rounds, growth), measured.medians[FIRST].value


def _mean(timer: Timer, rounds: int) -> dict[str, float]:
    """Return the mean that pytest-benchmark would compare: of one timer alone, after a round to warm up."""
    timer()
    stats, began = Stats(), time.monotonic()
    while len(stats.data) < rounds and (len(stats.data) < PLAIN_LEAST or time.monotonic() - began < PLAIN_S):
        stats.update(timer() / 1e9)
    return {"mean": stats.mean}
