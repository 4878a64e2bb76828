"""From plan items to measurements: the latency of every case of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from parity import records
from parity.cases.case import Case
from parity.core.failures import NUMERIC
from parity.core.ledger import TimeLedger
from parity.latency import LATENCY, Effort, Group, TimedRuntime, device_of
from parity.latency.measuring import Latency
from parity.records import Footprint, PlanItem, Timing
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult

MEASURED = ("import_ns", "load_ns", "first_call_ns", "peak_memory_bytes")
"""Of a footprint; each must be more than zero."""


class Latencies:
    """Answers plan items of the probe `latency`.

    Args:
        cases: of the run, by the names that they were given under.
        plan: all items of the run.
        subject: returns the subject of a case, given the case's own name.
        runtimes: by name; one of them is the reference.
        effort: how much is measured.
        ledger: books the time.
        record: takes what was measured.
    """

    def __init__(
        self,
        cases: Mapping[str, Case],
        plan: Sequence[PlanItem],
        subject: Callable[[str], Subject],
        runtimes: Mapping[str, TimedRuntime],
        effort: Effort,
        ledger: TimeLedger,
        record: Callable[[Timing | Footprint], None],
    ) -> None:
        self._names = {case.name: name for name, case in cases.items()}
        self._plan, self._subject, self._runtimes, self._effort = plan, subject, runtimes, effort
        self._ledger, self._record = ledger, record
        self._opened: tuple[str, Latency] | None = None

    def time(self, item: PlanItem) -> Timing | None:
        """Measure the step of a plan item, beside the other runtimes, and record it; None where nothing is timed.

        Raises:
            ParityError: the runtime failed.
        """
        with self._ledger.spend(LATENCY):
            found = self._latency_of(item).timing(Group.of(item), item.runtime)
        if found is not None:
            self._record(found)
        return found

    def results(self, item: PlanItem) -> list[LeafResult]:
        """Return whether the right program was measured, and often enough.

        Raises:
            ParityError: the runtime failed.
        """
        return self._latency_of(item).results(Group.of(item), item.runtime)

    def footprint(self, item: PlanItem) -> list[LeafResult]:
        """Record what the runtime costs beside its steps; return whether all of it was measured.

        Raises:
            ParityError: the runtime failed.
        """
        with self._ledger.spend(LATENCY):
            found = self._latency_of(item).footprint(item.runtime, device_of(item))
        self._record(found)
        return [judge(found)]

    def close(self) -> None:
        """End the processes of all runtimes."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _latency_of(self, item: PlanItem) -> Latency:
        if self._opened is None or self._opened[0] != item.case:
            self.close()  # the processes of another case take a gigabyte each
            items = [other for other in self._plan if (other.case, other.probe) == (item.case, item.probe)] or [item]
            planned: dict[Group, list[TimedRuntime]] = {}
            for one in items:
                if one.test == LATENCY:
                    planned.setdefault(Group.of(one), []).append(self._runtimes[one.runtime])
            largest, subject = max(one.batch_size for one in items), self._subject(item.case)
            footprints = any(one.test != LATENCY for one in items)
            latency = Latency(
                subject, self._names[item.case], planned, self._runtimes, largest, self._effort, footprints
            )  # fmt: skip
            self._opened = item.case, latency
        return self._opened[1]


def judge(found: Footprint) -> LeafResult:
    """Return whether everything about a runtime was measured; the gate compares the values."""
    lacking = [name for name in MEASURED if not getattr(found, name) > 0]
    if not lacking:
        return LeafResult("measured", records.PASS)
    why = f"{', '.join(lacking)} of {found.runtime} was not measured, expected more than 0"
    return LeafResult("measured", records.FAIL, failure=NUMERIC, evidence=why, message=why)
