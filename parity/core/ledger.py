"""The time of a run by purpose."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

IMPORTING = "importing"
TRAINING = "training"
FRAMEWORKS = "compiling and running the frameworks"
OWN_CODE = "own code"


class TimeLedger:
    """Add up seconds by purpose. Purposes nest; a second counts once, for the innermost.

    Time without a purpose counts as `own code`, which is so never understated.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[tuple[str, float]] = []

    @contextmanager
    def spend(self, purpose: str) -> Iterator[None]:
        """Add the seconds of the block to `purpose`."""
        now = time.perf_counter()
        if self._open:
            outer, since = self._open[-1]
            self._seconds[outer] += now - since
        self._open.append((purpose, now))
        try:
            yield
        finally:
            now = time.perf_counter()
            inner, since = self._open.pop()
            self._seconds[inner] += now - since
            if self._open:
                self._open[-1] = (self._open[-1][0], now)

    def totals(self) -> dict[str, float]:
        """Return the seconds per purpose since the ledger was opened; they add up to the elapsed time."""
        elapsed = time.perf_counter() - self._began
        booked = {**dict.fromkeys((IMPORTING, TRAINING, FRAMEWORKS), 0.0), **self._seconds}
        own = elapsed - sum(s for p, s in booked.items() if p != OWN_CODE)
        return {**booked, OWN_CODE: own}
