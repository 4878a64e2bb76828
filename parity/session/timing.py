"""Latency of a run, measured once for all of its tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from parity.latency import Effort, timed_runtimes

if TYPE_CHECKING:
    from parity.latency.asking import Latencies
    from parity.session.run import RunSession


@cache
def latencies(effort: Effort) -> Callable[[RunSession], Latencies]:
    """Return a function for `RunSession.shared` that measures with `effort`; the same for the same effort."""

    def make(session: RunSession) -> Latencies:
        from parity.latency.asking import Latencies

        return Latencies(
            session.selection.cases, session.plan, session.subject, timed_runtimes(), effort, session.ledger,
            session.record.add,
        )  # fmt: skip

    return make
