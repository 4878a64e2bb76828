"""Which packages moved to an older release, and which to a newer one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from parity.gate.side import PACKAGES

_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)*")
OLDER, NEWER, UNORDERED = "older", "newer", "unordered"


def moved(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> dict[str, str]:
    """Return by package in which direction it moved; without those that did not, or are not known on both sides.

    Versions are compared by PEP 440, so a release candidate is older than its release; local parts (`+cpu`) do not
    count. `UNORDERED` where one of the two is not such a version.
    """
    differing = {name: (before.get(name), after.get(name)) for name in PACKAGES}
    found = {name: _direction(old, new) for name, (old, new) in differing.items() if old and new and old != new}
    return {name: direction for name, direction in found.items() if direction}


def _direction(before: str, after: str) -> str:
    """Return the direction of one package; empty where both are the same release."""
    if _PLAIN.fullmatch(before) and _PLAIN.fullmatch(after):
        old, new = (tuple(map(int, text.split("."))) for text in (before, after))
        return _compared(*((*one, *[0] * (len(other) - len(one))) for one, other in ((old, new), (new, old))))
    from packaging.version import InvalidVersion, Version  # slow to import, and the gate starts at once

    try:
        return _compared(*(Version(Version(text).public) for text in (before, after)))
    except InvalidVersion:
        return UNORDERED


def _compared(old: Any, new: Any) -> str:
    return "" if old == new else NEWER if new > old else OLDER
