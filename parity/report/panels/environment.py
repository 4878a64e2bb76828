"""The environment: every version, the machine, and everything else in the record of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parity.report.numbers import memory
from parity.report.panels import Cell

ORDER = 120

SHOWN_ELSEWHERE = ("left_out",)
ABSENT = {"versions": "not installed", "cell": "not named"}
INSTALLED = "installed"
TITLES = {
    "versions": "Versions", "machine": "Machine", "devices": "Devices", "writer": "What JAX writes",
    "reader": "What TensorFlow reads", "prediction": "Prediction of parity doctor", "cell": "Named by the cell",
    "artifacts": "What answers what in the artifact",
}  # fmt: skip


def view(cell: Cell) -> dict[str, Any]:
    """Return a table for each part of the environment; values without parts are one table together."""
    environment = {k: v for k, v in cell.run.environment.items() if k not in SHOWN_ELSEWHERE}
    installed = environment.pop(INSTALLED, None)
    parts = {k: v for k, v in environment.items() if isinstance(v, Mapping) and v}
    single = {k: v for k, v in environment.items() if not isinstance(v, Mapping)}
    tables = [
        (TITLES.get(name, name), list(_rows(part, ABSENT.get(name, "not known")))) for name, part in parts.items()
    ]
    if single:
        tables.append(("Also", list(_rows(single, "not known"))))
    return {
        "tables": tables,
        "installed": sorted(installed.items()) if isinstance(installed, Mapping) else [],
        "deprecations": cell.run.deprecations or [],
        "spent": [(name, f"{seconds:,.1f} s") for name, seconds in cell.run.spent_s.items()],
        "total": f"{sum(cell.run.spent_s.values()):,.0f} s",
        "budgets": list(dict.fromkeys(budget.source for budget in cell.run.budgets)),
    }


def _rows(part: Mapping[str, Any], absent: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from _rows(value, absent, f"{prefix}{name}: ")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        elif name.endswith("_bytes") and isinstance(value, int):
            yield f"{prefix}{name.removesuffix('_bytes')}", memory(value)
        elif value != "":
            yield f"{prefix}{name}", absent if value is None else str(value)
