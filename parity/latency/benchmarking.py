"""pytest-benchmark as the interface: its options set the effort, and its reports show the times.

By itself it would run one runtime after the other, and drift of the machine would look like a difference. So all
runtimes of a group are measured round by round, and each benchmark replays its own rounds through a timer.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parity.core.errors import ParityError
from parity.latency import MIN_ROUNDS, Effort, Group, timing
from parity.records import PlanItem, Timing

REFUSED = tuple(
    f"--benchmark-{name}" for name in ("timer", "min-time", "calibration-precision", "warmup", "cprofile", "confidence")
)
"""Prefixes of its options that have no effect here: it calls no function, and the level of intervals is fixed."""


class Recorded:
    """A timer, in seconds, that replays durations measured before: each call of `step` takes the next one."""

    __name__ = "recorded"

    def __init__(self) -> None:
        self._left: Iterator[int] = iter(())
        self._now = 0.0

    def show(self, times_ns: list[int]) -> None:
        """Replay these durations."""
        self._left = iter(times_ns)

    def step(self) -> None:
        """Take the next duration."""
        self._now = next(self._left) / 1e9

    def __call__(self) -> float:
        """Return the time: 0 before a step, its duration after it."""
        now, self._now = self._now, 0.0
        return now


def parameter(item: PlanItem) -> Any:
    """Return a pytest parameter for a plan item, with a mark that shows its benchmark beside those of its group."""
    group = Group.of(item)
    name = f"{item.case}: {group.step}, batch size {group.batch_size}, {group.device}"
    return pytest.param(item, marks=pytest.mark.benchmark(timer=Recorded(), group=name))


def missing(config: pytest.Config) -> bool:
    """Return whether pytest-benchmark is not installed, or blocked."""
    return not config.pluginmanager.hasplugin("pytest-benchmark")


def refused(config: pytest.Config) -> list[str]:
    """Return the given options that have no effect here, from the command line, the ini file and the environment."""
    given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.getini("addopts")]
    return [option for option in [*given, *map(str, config.invocation_params.args)] if option.startswith(REFUSED)]


def skipped_by(config: pytest.Config, item: pytest.Function) -> str | None:
    """Return the option by which pytest-benchmark skips a test; None where it runs it."""
    option = "--benchmark-skip" if "benchmark" in item.fixturenames else "--benchmark-only"
    return option if config.getoption(option, False) else None


def effort(config: pytest.Config) -> Effort:
    """Return the effort that the options of pytest-benchmark ask for."""
    disabled = config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable", False)
    return Effort(
        budget_s=float(config.getoption("benchmark_max_time", Effort.budget_s)),
        min_rounds=max(MIN_ROUNDS, config.getoption("benchmark_min_rounds", 0)),
        precision=config.getoption("benchmark_precision", None) or Effort.precision,
        collect_garbage=not config.getoption("benchmark_disable_gc", False),
        timed=not disabled,
    )


def replay(request: pytest.FixtureRequest, measure: Callable[[], Timing | None]) -> None:
    """Let the benchmark of a test replay what `measure` returns; nothing where that is None.

    Raises:
        ParityError: `measure` failed.
    """
    benchmark: Any = request.getfixturevalue("benchmark")
    recorded: Recorded = request.node.get_closest_marker("benchmark").kwargs["timer"]
    try:
        found = measure()
    except ParityError as error:
        benchmark.pedantic(_raising, (error,))
        raise
    if found is None:
        benchmark.pedantic(int)  # it is disabled, and does not time what it runs
        return
    benchmark.extra_info.update(facts(found))
    recorded.show(found.times_ns)
    benchmark.pedantic(recorded.step, rounds=len(found.times_ns))


def _raising(error: ParityError) -> None:
    raise error


def facts(found: Timing) -> dict[str, Any]:
    """Return the facts about a timing that pytest-benchmark has no column for."""
    names = (
        "median_ns", "low_ns", "high_ns", "ratio", "ratio_low", "ratio_high", "narrow", "outliers", "compile_ns",
        "first_call_ns", "transfer_ns", "device",
    )  # fmt: skip
    return {**{name: getattr(found, name) for name in names}, "warm_up_rounds": timing.WARM_UP}
