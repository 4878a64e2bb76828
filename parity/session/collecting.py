"""What pytest collects: which tests have a probe, which plan item each runs, and which are left out, and why."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from parity.core.errors import UsageError
from parity.records import FULL, LEVELS, STANDARD, PlanItem
from parity.session.plugin import PROBE

if TYPE_CHECKING:
    from parity.probes.declaration import Probe
    from parity.session.run import RunSession

LONG, LATENCY = "long", "latency"
"""Marks beside those of levels: of what no level has, and runs where -m names the mark; and of what times steps."""


def plan_item(item: pytest.Item) -> PlanItem | None:
    """Return the plan item that a test runs; None for a test of another project, or one that nothing is planned for."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("item") if callspec else None
    return found if isinstance(found, PlanItem) else None


def has_probe(item: pytest.Item) -> bool:
    """Return whether a test has the mark `PROBE`."""
    return item.get_closest_marker(PROBE) is not None


def declared(test: str, mark: pytest.Mark) -> Probe:
    """Return the probe that the mark of a test names or holds.

    Raises:
        UsageError: there is none.
    """
    from parity.probes import registry
    from parity.probes.declaration import Probe

    given = mark.args[0] if len(mark.args) == 1 else mark.args
    if isinstance(given, Probe):
        registry.add(given)
        return given
    if isinstance(given, str) and given in registry.probes():
        return registry.probes()[given]
    arguments = ", ".join(map(repr, mark.args))
    raise UsageError(
        f"{test} has the mark {PROBE}({arguments}). Expected one of "
        f"{', '.join(registry.probes())}, or a parity.probes.declaration.Probe."
    )


def parameter(metafunc: pytest.Metafunc, probe: Probe, item: PlanItem) -> Any:
    """Return the value of the parameter `item` of a test, with the marks of its probe."""
    from parity.latency import benchmarking

    marks = [getattr(pytest.mark, name) for name in (item.level, probe.mark) if name]
    if "benchmark" in metafunc.fixturenames and not benchmarking.missing(metafunc.config):
        return pytest.param(*benchmarking.parameter(item).values, marks=[*marks, *benchmarking.parameter(item).marks])
    return pytest.param(item, marks=marks)


def explain_nothing(session: RunSession) -> str:
    """Return why no test is left: the options select nothing together."""
    selection = session.selection
    parts = [
        ("runtimes", ", ".join(runtime.name for runtime in selection.runtimes)),
        ("probes", ", ".join(selection.probes) or "all"),
        ("cases", ", ".join(case.name for case in selection.cases.values())),
        ("level", session.planner.left_out_by_level() or selection.level),
        *(("left out", text) for text in session.planner.left_out.values()),
    ]
    listed = "; ".join(f"{name}: {text}" for name, text in parts)
    return f"parity: the options select no test ({listed}). Select a runtime that answers the probe."


def why_left_out(session: RunSession, item: Any) -> tuple[str, str] | None:
    """Return a name and a text for why a test is left out; None if it runs."""
    from parity.latency import benchmarking

    found = plan_item(item)
    if found is None:
        return None
    probe = session.probe_of(found)
    if probe.mark == LONG and not _in_mark_expression(item.config, LONG):
        return LONG, probe.left_out
    named = probe.name in session.selection.named or LATENCY in session.selection.named
    if "benchmark" in item.fixturenames and not named:
        if benchmarking.missing(item.config):
            return LATENCY, "a first look at latency left out: it needs pytest-benchmark, pip install 'parity[test]'"
        if refused := benchmarking.refused(item.config):
            return LATENCY, f"a first look at latency left out: it does not take {', '.join(refused)}"
    option = benchmarking.skipped_by(item.config, item)
    return (option, f"tests that {option} skips, left out") if option else None


def level(config: pytest.Config) -> str:
    """Return the level that is planned: everything where -m names levels, since pytest then selects among it."""
    return config.getoption("--parity-level") or (FULL if level_by_marks(config) else STANDARD)


def level_by_marks(config: pytest.Config) -> bool:
    """Return whether -m names levels, and no option does."""
    return not config.getoption("--parity-level") and any(_in_mark_expression(config, name) for name in LEVELS)


def named_marks(config: pytest.Config) -> list[str]:
    """Return the marks whose probes are planned at every level: those that -m names, and latency by its option."""
    wanted = {LATENCY: config.getoption("--parity-latency")}
    return [mark for mark in (LATENCY, LONG) if wanted.get(mark) or _in_mark_expression(config, mark)]


def _in_mark_expression(config: pytest.Config, mark: str) -> bool:
    return re.search(rf"\b{mark}\b", config.option.markexpr) is not None


def where(item: pytest.Function) -> str:
    """Return the id of a test in its module, if it is of the suites; else in its file."""
    name = str(item.module.__name__)
    found = name if name.startswith("parity.suites.") else os.path.relpath(item.path)
    return "::".join([found, *item.nodeid.split("::")[1:]])


def require_benchmarks(config: pytest.Config) -> None:
    """Refuse options that pytest-benchmark takes and latency cannot, and a run without pytest-benchmark.

    Raises:
        pytest.UsageError: an option, or the plugin, is in the way.
    """
    from parity.latency import benchmarking

    if refused := benchmarking.refused(config):
        raise pytest.UsageError(
            f"{', '.join(refused)}: latency is measured by parity, in a process of each runtime and after rounds to "
            "warm up, with intervals at 99 %, and replayed by pytest-benchmark, which calls nothing. Leave this out, "
            "and run other benchmarks apart; --benchmark-max-time, --benchmark-min-rounds and --benchmark-precision "
            "say how much is measured."
        )
    if benchmarking.missing(config):
        raise pytest.UsageError(
            "latency is measured through pytest-benchmark, which is not installed or is blocked. Install it: pip "
            "install 'parity[test]'; do not give -p no:benchmark; or do not ask for latency."
        )
