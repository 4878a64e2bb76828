"""What was measured of the suite itself, and ships with it: the false-alarm study and the table of planted faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parity.errors import RecordError

FALSE_ALARMS, FAULTS = "false-alarms.json", "faults.json"
_PLACES = (Path(__file__).parent / "published", Path(__file__).parents[1] / "reports")
"""In a wheel; and in a checkout, where they are made."""


def load(name: str) -> dict[str, Any] | None:
    """The measurement `name`; None where it has not been made.

    Raises:
        RecordError: it is cut off.
    """
    for folder in _PLACES:
        path = folder / name
        if path.is_file():
            try:
                found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                return found
            except json.JSONDecodeError as error:
                raise RecordError(f"{path} is not JSON: {error}. Measure it again.") from None
    return None
