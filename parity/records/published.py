"""What was measured of the suite itself, and ships with it: false alarms, faults, hand-overs, latency, and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from parity import records
from parity.core.errors import RecordError
from parity.records import Run, number

T = TypeVar("T")
FALSE_ALARMS, FAULTS, HANDOVER = "false-alarms.json", "faults.json", "handover/run.json"
TIMING_CALIBRATION = "timing-calibration.json"
"""Read it with `timing_calibration.of(load(TIMING_CALIBRATION))`."""
COST = "cost.json"
"""Read it with `cost.of(load(COST))`."""
SCHEMAS = {FALSE_ALARMS: 3, FAULTS: 2}
"""Of a measurement, 1 of those that are not here. The hand-over is the record of a run."""
_PROJECT = Path(__file__).parents[2]
_PLACES = (
    Path(__file__).parents[1] / "published",
    *([_PROJECT / "reports"] if (_PROJECT / "pyproject.toml").is_file() else []),
)
"""In a wheel; and in a checkout, where they are made."""

NUMBERS = ("score", "over", "highest", "in_best_seen", "in_every_tensor", "smallest_relative_error", "smallest_caught")
"""The keys whose values are numbers, and texts where they are not finite; a leaf may be named like one."""


def _with_numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {k: number(v) if k in NUMBERS and isinstance(v, str) else v for k, v in row.items()}


def load(name: str) -> dict[str, Any] | None:
    """Return the measurement `name`; None where it has not been made.

    Raises:
        RecordError: it is cut off, or of another schema.
    """
    if (path := _find(name)) is None:
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_numbers)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}. Measure it again.") from None
    schema = SCHEMAS.get(name, 1)
    if not isinstance(found, dict) or found.get("schema") != schema:
        raise RecordError(f"{path} is not of schema {schema}. Measure it again.")
    return found


def as_study(data: dict[str, Any] | None, study: type[T], name: str, schema: int, command: str) -> T | None:
    """Return what `load` found as a `study`; None where it found nothing.

    Args:
        data: as `load` returns it.
        study: the struct, with an attribute `schema`.
        name: of the file.
        schema: what `schema` must be.
        command: measures it again.

    Raises:
        RecordError: it is cut off, or something else.
    """
    if data is None:
        return None
    try:
        found = msgspec.convert(data, study)
    except msgspec.ValidationError as error:
        raise RecordError(f"{name} is no such study: {error}. Measure it again: {command}.") from None
    if (version := getattr(found, "schema", None)) != schema:
        raise RecordError(f"{name} has schema {version}, expected {schema}. Measure it again: {command}.")
    return found


def run(name: str) -> Run | None:
    """Return the run whose record is `name`; None where it has not been made.

    Raises:
        RecordError: it is cut off, or of another schema.
    """
    path = _find(name)
    return None if path is None else records.read(path)


def _find(name: str) -> Path | None:
    return next((folder / name for folder in _PLACES if (folder / name).is_file()), None)
