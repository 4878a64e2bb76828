"""pytest-benchmark as the interface: its options say how much is measured, and it is shown what was.

A benchmark alone would run one runtime after the other, and what drifts meanwhile would look like a difference. So all
of a group are measured round by round, and each benchmark replays its own rounds, through a timer that shows them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parity.core.errors import ParityError
from parity.latency import Effort, Group, timing
from parity.records import PlanItem, Timing

REFUSED = tuple(
    f"--benchmark-{name}" for name in ("timer", "min-time", "calibration-precision", "warmup", "cprofile", "confidence")
)
"""How its options begin that cannot be obeyed: it calls no function here, and the level of intervals is fixed."""


class Recorded:
    """A timer, in seconds, that shows durations which were measured before: between its calls, `step` is run."""

    __name__ = "recorded"

    def __init__(self) -> None:
        self._left: Iterator[int] = iter(())
        self._now = 0.0

    def show(self, times_ns: list[int]) -> None:
        """Show these from now on."""
        self._left = iter(times_ns)

    def step(self) -> None:
        """Let the next of them pass."""
        self._now = next(self._left) / 1e9

    def __call__(self) -> float:
        """The time: 0 before a step, and its duration after it."""
        now, self._now = self._now, 0.0
        return now


def parameter(question: PlanItem) -> Any:
    """A question whose benchmark replays what was measured, shown beside those of the same group."""
    group = Group.of(question)
    name = f"{question.case}: {group.step}, batch size {group.batch_size}, {group.device}"
    return pytest.param(question, marks=pytest.mark.benchmark(timer=Recorded(), group=name))


def missing(config: pytest.Config) -> bool:
    """Whether pytest-benchmark is not there: not installed, or blocked."""
    return not config.pluginmanager.hasplugin("pytest-benchmark")


def refused(config: pytest.Config) -> list[str]:
    """The options that were given, wherever, and cannot be obeyed."""
    given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.getini("addopts")]
    return [option for option in [*given, *map(str, config.invocation_params.args)] if option.startswith(REFUSED)]


def skipped_by(config: pytest.Config, item: pytest.Function) -> str | None:
    """The option by which pytest-benchmark skips a test, either because it is a benchmark or because it is none."""
    option = "--benchmark-skip" if "benchmark" in item.fixturenames else "--benchmark-only"
    return option if config.getoption(option, False) else None


def effort(config: pytest.Config) -> Effort:
    """How much is to be measured, as the options of pytest-benchmark say."""
    disabled = config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable", False)
    return Effort(
        budget_s=float(config.getoption("benchmark_max_time", Effort.budget_s)),
        min_rounds=max(timing.MIN_ROUNDS, config.getoption("benchmark_min_rounds", 0)),
        precision=config.getoption("benchmark_precision", None) or Effort.precision,
        collect_garbage=not config.getoption("benchmark_disable_gc", False),
        timed=not disabled,
    )


def replay(request: pytest.FixtureRequest, measure: Callable[[], Timing | None]) -> None:
    """Show pytest-benchmark what `measure` has found of the benchmark that asks; nothing where nothing was workload.

    Raises:
        ParityError: it failed.
    """
    benchmark: Any = request.getfixturevalue("benchmark")
    recorded: Recorded = request.node.get_closest_marker("benchmark").kwargs["timer"]
    try:
        found = measure()
    except ParityError as error:
        benchmark.pedantic(_raising, (error,))
        raise
    if found is None:
        benchmark.pedantic(int)  # it is disabled: what it runs, it does not time
        return
    benchmark.extra_info.update(facts(found))
    recorded.show(found.times_ns)
    benchmark.pedantic(recorded.step, rounds=len(found.times_ns))


def _raising(error: ParityError) -> None:
    raise error


def facts(found: Timing) -> dict[str, Any]:
    """What pytest-benchmark has no column for."""
    names = (
        "median_ns", "low_ns", "high_ns", "ratio", "ratio_low", "ratio_high", "narrow", "outliers", "compile_ns",
        "first_call_ns", "transfer_ns", "device",
    )  # fmt: skip
    return {**{name: getattr(found, name) for name in names}, "warm_up_rounds": timing.WARM_UP}
