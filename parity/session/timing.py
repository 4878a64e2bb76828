"""Latency of a run: which runtimes are timed, as they declare it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from parity.latency import Effort, TimedRuntime
from parity.runtimes import registry
from parity.runtimes.base import ARTIFACT, REFERENCE

if TYPE_CHECKING:
    from parity.latency.asking import Latencies
    from parity.session.run import RunSession


def timed_runtimes() -> dict[str, TimedRuntime]:
    """Return the runtimes whose latency can be measured, by name."""
    declared = ((name, runtime.capabilities) for name, runtime in registry.runtimes().items())
    return {
        name: TimedRuntime(name, can.role == REFERENCE, can.timing_worker, can.source == ARTIFACT, can.without_jax)
        for name, can in declared
        if can.timing_worker is not None
    }


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
