"""What a run says in the terminal: failures one by one, and the summary at the end."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from parity import records
from parity.cases.case import PROBES
from parity.core.ledger import OWN_CODE
from parity.records import Check, PlanItem, Run, Timing
from parity.report import costs


def failure(question: PlanItem, bad: list[Check], total: int) -> str:
    """Why a question failed: per leaf the score, the worst element, who moved; and how to repeat it."""
    if not total:
        return f"{question.item}: no leaf was compared, so nothing was checked."
    lines = [
        f"{question.probe} of {question.case} on {question.runtime} at batch size {bad[0].batch_size}",
        f"JAX on {question.jax_device}, TensorFlow on {question.tf_device}: {len(bad)} of {total} checks not in order",
    ]
    for check in bad:
        lines += ["", f"  {check.leaf}: {check.message or check.status}"]
        if check.score is not None:
            own = "" if check.jax_score is None else f"; JAX's own {number(check.jax_score)}"
            lines.append(f"    score {number(check.score)}, limit {number(check.limit)}{own}")
        if check.worst is not None:
            worst = check.worst
            lines.append(f"    worst element {worst.index}: {question.runtime} has {worst.value:.9g},")
            known = f"JAX {worst.jax:.9g}, the oracle {worst.oracle:.9g}"
            lines.append(f"    {f'expected {worst.oracle:.9g}' if check.jax_score is None else known}")
    return "\n".join([*lines, "", f"repeat: {bad[0].repeat}"])


def number(value: float | None) -> str:
    """A score with three digits."""
    return "-" if value is None else f"{value:.3g}"


def of(run: Run, width: int, report: Path | None) -> list[str]:
    """The summary of a run, at most `width` columns."""
    out = io.StringIO()
    console = Console(file=out, width=max(width, 60), color_system=None)
    for case in dict.fromkeys(check.case for check in run.all_checks()):
        mine = [c for c in run.all_checks() if c.case == case]
        console.print(
            f"{case}: worst score of each probe and runtime; the limit is {number(_limit(mine))}", highlight=False
        )
        console.print(_table(mine))
    for case in dict.fromkeys(timing.case for timing in run.timings):
        console.print(
            f"{case}: median latency of each step in JAX, and how many times as long elsewhere", highlight=False
        )
        console.print(_latencies([t for t in run.timings if t.case == case]))
        console.print("~ where the time or the rounds ended before the interval was narrow", highlight=False)
    for line in (*run.environment.get("left_out", ()), *_powers(run), *costs.sentences(run.handover_costs)):
        console.print(line, highlight=False)
    console.print(_spent(run.spent_s), highlight=False)
    console.print(run.verdict(), highlight=False)
    if report is not None:
        console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return out.getvalue().rstrip().splitlines()


def _table(checks: list[Check]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    asked = [c for c in checks if c.probe in PROBES and not c.item.startswith("test_power")]
    runtimes = list(dict.fromkeys(c.runtime for c in asked))
    table.add_column("probe", no_wrap=True)
    for name in runtimes:
        table.add_column(name.replace("_", " ").replace("float64", "f64"), justify="right", min_width=6)
    table.add_column("checks", justify="right", no_wrap=True)
    for probe in PROBES:
        rows = {name: [c for c in asked if (c.probe, c.runtime) == (probe, name)] for name in runtimes}
        if any(rows.values()):
            table.add_row(probe, *(_cell(rows[name]) for name in runtimes), f"{sum(map(len, rows.values())):,}")
    beside = [c for c in checks if c not in asked]
    for name in dict.fromkeys(c.item.partition("[")[0].removeprefix("test_") for c in beside):
        mine = [c for c in beside if c.item.startswith(f"test_{name}[")]
        table.add_row(name, _cell(mine) if _bad(mine) else "ok", *[""] * (len(runtimes) - 1), f"{len(mine):,}")
    return table


def _latencies(timings: list[Timing]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    runtimes = list(dict.fromkeys(t.runtime for t in timings))
    table.add_column("step", no_wrap=True)
    table.add_column("batch", justify="right", no_wrap=True)
    for name in runtimes:
        table.add_column(name.replace("_", " "), justify="right", min_width=6)
    found = {(t.step, t.batch_size, t.device, t.runtime): t for t in timings}
    for step, size, device in dict.fromkeys(key[:3] for key in found):
        cells = [_times(found.get((step, size, device, name))) for name in runtimes]
        table.add_row(step if device == "cpu:0" else f"{step}, {device}", f"{size:,}", *cells)
    return table


def _times(timing: Timing | None) -> str:
    """JAX's median in ms; of another runtime how many times JAX's it takes."""
    if timing is None:
        return ""
    alone = timing.ratio is None
    found = f"{timing.median_ns / 1e6:.3g} ms" if alone else f"{timing.ratio:.2f}"
    return found if timing.narrow else f"~{found}"


def _limit(checks: list[Check]) -> float | None:
    return next((c.limit for c in checks if c.limit is not None), None)


def _bad(checks: list[Check]) -> list[str]:
    return sorted({c.status for c in checks if c.status not in records.IN_ORDER})


def _cell(checks: list[Check]) -> str:
    if not checks:
        return ""
    worst = max((c.score for c in checks if c.score is not None), default=None)
    shown = [] if worst is None else [number(worst)]
    return "\n".join([*shown, *(status.upper() for status in _bad(checks))]) or "ok"


def _powers(run: Run) -> Iterable[str]:
    for case in dict.fromkeys(p.case for p in run.powers):
        best: dict[str, float] = {}
        for power in run.powers:
            if power.case == case and power.probe not in ("rng", "accuracy"):
                best[power.probe] = min(best.get(power.probe, float("inf")), power.smallest_relative_error)
        if best:
            listed = ", ".join(f"{probe} {error:.1g}" for probe, error in best.items())
            yield f"{case}: smallest relative error in a weight that is caught: {listed}"


def _spent(spent: dict[str, float]) -> str:
    total = sum(spent.values()) or 1.0
    parts = [f"{purpose} {seconds:.1f} s" for purpose, seconds in spent.items()]
    return f"Where {total:.0f} s went: {', '.join(parts)} ({100 * spent.get(OWN_CODE, 0.0) / total:.0f} %)."
