"""Numbers in records: JSON has no NaN and no infinity, so these are the texts "nan", "inf" and "-inf" there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import msgspec


class _Float(float, Enum):
    """A float whose value in JSON is a text: msgspec reads members of enumerations by their value, without Python."""

    def __new__(cls, text: str) -> _Float:
        member = float.__new__(cls, text)
        member._value_ = text  # type: ignore[assignment]
        return member

    __str__ = float.__str__
    __repr__ = float.__repr__
    __format__ = float.__format__  # type: ignore[assignment]


class NonFinite(_Float):
    """The floats that JSON lacks."""

    NAN = "nan"
    INFINITY = "inf"
    MINUS_INFINITY = "-inf"


class NotNegative(_Float):
    """Those that a number that is never negative can be."""

    NAN = "nan"
    INFINITY = "inf"


Number = float | NonFinite
Size = Annotated[float, msgspec.Meta(ge=0)] | NotNegative
"""A number that is never negative: a score, limit, budget, smallest error or duration."""
Count = Annotated[int, msgspec.Meta(ge=0)]


def encode(value: Any) -> Any:
    """Return `value` as JSON data: structs and dataclasses as objects, non-finite floats as texts."""
    return _finite(msgspec.to_builtins(value, str_keys=True, enc_hook=_plain))


def rows_text(data: Mapping[str, Any], ensure_ascii: bool = True) -> str:
    """Return a JSON object as text, a key on each line and a row of a list on each line, so that it can be diffed."""

    def text(value: Any) -> str:
        return json.dumps(value, allow_nan=False, ensure_ascii=ensure_ascii)

    def lines(value: Any) -> str:
        rows = ",\n  ".join(map(text, value)) if isinstance(value, list) else ""
        return f"[\n  {rows}\n]" if rows else text(value)

    return "{\n" + ",\n".join(f"{text(name)}: {lines(value)}" for name, value in data.items()) + "\n}\n"


def short(value: Any, digits: int = 3) -> Any:
    """Return a float with that many significant digits, and anything else as it is."""
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def _plain(value: Any) -> float:
    if isinstance(value, float):  # such as numpy's float64
        return float(value)
    raise TypeError(f"a {type(value).__name__} cannot be recorded")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def number(value: Any) -> Any:
    """Return the number that `encode` wrote, or None.

    Raises:
        TypeError: it is neither.
    """
    try:
        return msgspec.convert(value, Number | None)
    except msgspec.ValidationError:
        raise TypeError(f"expected a number, got {value!r}") from None
