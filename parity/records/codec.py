"""Records as JSON data, and back."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime, timezone
from typing import Any

from parity.records.rows import Worst
from parity.records.run import Run


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(value: Any) -> Any:
    """`value` as JSON data: dataclasses as objects, non-finite floats as "nan", "inf" and "-inf"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def decode(cls: Any, data: Any) -> Any:
    """The inverse of `encode` for a row of class `cls`; unknown keys are ignored.

    Raises:
        TypeError: `data` is no such row.
    """
    if not isinstance(data, dict):
        raise TypeError(f"expected an object for {cls.__name__}, got {type(data).__name__}")
    known = {}
    for f in dataclasses.fields(cls):
        if f.name not in data:
            continue
        value = data[f.name]
        if "float" in str(f.type):
            value = number(value)
        elif f.name == "worst" and value is not None:
            value = decode(Worst, value)
        known[f.name] = value
    return cls(**known)


def number(value: Any) -> Any:
    """A number, or a list of them, that `encode` wrote; what is none and no text either is returned as it is.

    Raises:
        TypeError: it is a text that stands for no number.
    """
    if isinstance(value, list):
        return [number(v) for v in value]
    if isinstance(value, str) and value not in _NON_FINITE:
        raise TypeError(f"expected a number, got {value!r}")
    return _NON_FINITE[value] if isinstance(value, str) else value


def dumps(run: Run) -> str:
    """`run` as the text of a `run.json`: one line per check, so that records can be diffed."""
    parts = []
    for name, value in encode(run).items():
        if isinstance(value, list) and value:
            rows = ",\n  ".join(json.dumps(v, allow_nan=False, ensure_ascii=False) for v in value)
            parts.append(f"{json.dumps(name)}: [\n  {rows}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
