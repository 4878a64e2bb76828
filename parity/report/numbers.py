"""Numbers in a form that people can compare: three digits, a unit, and an exponent only where it is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from parity.core.text import plural  # noqa: F401 - a filter

_DURATIONS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
MIB = float(1 << 20)
FILTERS = ("number", "exact", "count", "duration", "memory", "times", "plural", "rank")
"""Functions of templates."""


def number(value: float | None) -> str:
    """Return three significant digits: `0.00123`, `1.23`, `12,300`; `1.23e-07` only outside of 0.001 to a million."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if not value:
        return "0"
    rounded = float(f"{value:.3g}")
    size = abs(rounded)
    if not 1e-3 <= size < 1e6:
        return f"{value:.2e}"
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(size)))}f}"


def rank(value: float | None) -> float:
    """Return a finite number to sort by: None first, NaN last, the infinite beside them."""
    if value is None:
        return -1e308
    return 1e308 if math.isnan(value) else min(max(value, -1e307), 1e307)


def exact(value: float | None) -> str:
    """Return a number that was chosen and not measured, such as a limit, with all its digits."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,g}"


def count(value: int | None) -> str:
    """Return a whole number with separated thousands."""
    return "-" if value is None else f"{value:,}"


def duration(nanoseconds: float | None) -> str:
    """Return a duration in the unit in which it has one to three digits before the point."""
    if nanoseconds is None:
        return "-"
    size, unit = next(
        ((size, unit) for size, unit in _DURATIONS if float(f"{abs(nanoseconds):.3g}") >= size), _DURATIONS[-1]
    )
    return f"{number(nanoseconds / size)} {unit}"


def memory(size: float | None) -> str:
    """Return bytes in MiB, so that sizes can be compared with each other."""
    return "-" if size is None else f"{number(size / MIB)} MiB"


def times(ratio: float | None) -> str:
    """Return a ratio."""
    return "-" if ratio is None else f"{number(ratio)} ×"  # noqa: RUF001 - times, and no letter


def listed(words: Iterable[object]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last
