"""Run records to one self-contained HTML file: no request to anywhere, and readable without its script."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity import known_issues
from parity.errors import UsageError
from parity.records import IN_ORDER, KNOWN, Check, Run
from parity.storage import write_atomically

NEEDED = ("jinja2", "vl_convert", "itables")
SIGNS = {"pass": "✓", "known": "◇", "remedied": "⚒", "fixed": "!", "missing": "?"}
WORST_SHOWN = 40


def require(needed: Sequence[str] = NEEDED) -> None:
    """Check that the libraries of the report are there.

    Raises:
        UsageError: they are not.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the report needs {' and '.join(missing)}. Install them: pip install 'parity[report]'")


def write(runs: Sequence[Run], path: Path) -> Path:
    """Write the report of `runs` to `path`.

    Raises:
        UsageError: the libraries of the report are not installed.
        StorageError: the file cannot be written.
    """
    require()
    from parity.report import charts, trust

    shown = [_view(run, charts) for run in runs]
    write_atomically(path, render("report.html.j2", runs=shown, signs=SIGNS, trust=trust.view()))
    return path


def render(template: str, **values: Any) -> str:
    """The page that `template` of this folder makes of `values`; every string in them is escaped.

    Raises:
        UsageError: jinja2 is not installed.
    """
    require()
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    from parity.report import tables

    loader = PackageLoader("parity.report", ".")
    jinja = Environment(loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined)
    jinja.filters["score"], jinja.filters["fragment"] = score, tables.fragment
    jinja.globals.update(signs=SIGNS, script=tables.script)
    return jinja.get_template(template).render(values)


def score(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3g}"


def _view(run: Run, charts: Any) -> dict[str, Any]:
    from parity.report import handover

    checks = run.all_checks()
    handed_over = handover.curves(run)
    return {
        "run": run,
        "verdict": run.verdict(),
        "in_order": run.in_order(),
        "counts": sorted(run.counts().items()),
        "limits": sorted({(c.case, c.limit_reason) for c in checks if c.limit_reason}),
        "worst": _worst(checks)[:WORST_SHOWN],
        "tables": [_table(case, checks) for case in dict.fromkeys(c.case for c in checks)],
        "charts": charts.curves([c for c in run.curves if c not in handed_over]),
        "handover": handover.view(run),
        "powers": _powers(run),
        "known": [(c, known_issues.find(c.known_issue)) for c in checks if c.status == KNOWN],
        "versions": {k: v or "not installed" for k, v in run.environment.get("versions", {}).items()},
        "machine": run.environment.get("machine", {}),
    }


def _severity(check: Check) -> tuple[bool, float]:
    value = check.score if check.score is not None else (0.0 if check.status in IN_ORDER else float("inf"))
    return check.status in IN_ORDER, -value


def _worst(checks: list[Check]) -> list[Check]:
    """Everything that is not in order, then of every leaf of a probe the check with the highest score."""
    ordered = sorted(checks, key=_severity)
    seen: set[tuple[str, str, str]] = set()
    rows = []
    for check in ordered:
        key = (check.case, check.probe, check.leaf)
        if check.status not in IN_ORDER or key not in seen:
            rows.append(check)
        seen.add(key)
    return rows


def _table(case: str, checks: list[Check]) -> dict[str, Any]:
    """Probe x runtime x batch size: the worst check of each."""
    mine = [c for c in checks if c.case == case]
    rows: dict[tuple[str, str], dict[int, list[Check]]] = {}
    for check in mine:
        group = check.item.partition("[")[0].removeprefix("test_")
        name = f"{group}: {check.probe}" if group == "power" else group
        rows.setdefault((name, check.runtime), {}).setdefault(check.batch_size, []).append(check)
    sizes = sorted({c.batch_size for c in mine})
    cells = {key: [_cell(by_size.get(size, [])) for size in sizes] for key, by_size in rows.items()}
    return {"case": case, "sizes": sizes, "rows": cells}


def _cell(checks: list[Check]) -> dict[str, Any] | None:
    if not checks:
        return None
    worst = min(checks, key=_severity)
    return {"status": worst.status, "score": worst.score, "leaf": worst.leaf, "count": len(checks)}


def _powers(run: Run) -> list[dict[str, Any]]:
    """Per case, probe and batch size the weight tensor seen best and the one seen worst."""
    grouped: dict[tuple[str, str, int], list[Any]] = {}
    for power in run.powers:
        grouped.setdefault((power.case, power.probe, power.batch_size), []).append(power)
    rows = []
    for (case, probe, size), powers in grouped.items():
        ordered = sorted(powers, key=lambda p: p.smallest_relative_error)
        rows.append(
            {"case": case, "probe": probe, "size": size, "best": asdict(ordered[0]), "worst": asdict(ordered[-1])}
        )
    return rows
