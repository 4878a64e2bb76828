"""From questions to what is workload: the latency of every case of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from parity import records
from parity.cases.case import Case
from parity.core.failures import NUMERIC
from parity.core.ledger import Ledger
from parity.latency import Effort, Group, device_of
from parity.latency.measuring import Latency
from parity.records import Footprint, PlanItem, Timing
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult
from parity.session.selection import LATENCY as SPENT

LATENCY = "test_latency"
"""The test that times a step; the other of the probe is about a runtime."""


class Latencies:
    """Answers questions of the probe `latency`.

    Args:
        cases: those of the run, by the name that they were given under.
        planned: all questions of the run.
        subject: of a case, by its name.
        effort: how much is measured.
        ledger: where the time goes.
        record: takes what was measured.
    """

    def __init__(
        self,
        cases: Mapping[str, Case],
        planned: Sequence[PlanItem],
        subject: Callable[[str], Subject],
        effort: Effort,
        ledger: Ledger,
        record: Callable[[Timing | Footprint], None],
    ) -> None:
        self._names = {case.name: name for name, case in cases.items()}
        self._planned, self._subject, self._effort = planned, subject, effort
        self._ledger, self._record = ledger, record
        self._opened: dict[str, Latency] = {}

    def time(self, question: PlanItem) -> Timing | None:
        """Measure the step that is asked, beside the other runtimes, and record it; None where none is to be workload.

        Raises:
            ParityError: the runtime failed.
        """
        with self._ledger.spend(SPENT):
            found = self._of(question).timing(Group.of(question), question.runtime)
        if found is not None:
            self._record(found)
        return found

    def results(self, question: PlanItem) -> list[LeafResult]:
        """Whether the right step was measured, and often enough.

        Raises:
            ParityError: the runtime failed.
        """
        return self._of(question).results(Group.of(question), question.runtime)

    def footprint(self, question: PlanItem) -> list[LeafResult]:
        """Record what the runtime costs beside its steps; whether all of it was measured.

        Raises:
            ParityError: the runtime failed.
        """
        with self._ledger.spend(SPENT):
            found = self._of(question).footprint(question.runtime, device_of(question))
        self._record(found)
        return [judge(found)]

    def close(self) -> None:
        """End the processes of all runtimes."""
        while self._opened:
            self._opened.popitem()[1].close()

    def _of(self, question: PlanItem) -> Latency:
        case = question.case
        if case not in self._opened:
            self.close()  # those of a case before: each takes a gigabyte
            mine = [q for q in self._planned if (q.case, q.probe) == (case, question.probe)] or [question]
            asked: dict[Group, list[str]] = {}
            for one in mine:
                if one.item.startswith(f"{LATENCY}["):
                    asked.setdefault(Group.of(one), []).append(one.runtime)
            largest = max(one.batch_size for one in mine)
            self._opened[case] = Latency(self._subject(case), self._names[case], asked, largest, self._effort)
        return self._opened[case]


def judge(found: Footprint) -> LeafResult:
    """Whether everything about a runtime was measured; what it costs is for the gate to compare."""
    lacking = [
        name for name in ("import_ns", "load_ns", "first_call_ns", "peak_memory_bytes") if not getattr(found, name) > 0
    ]  # fmt: skip
    if not lacking:
        return LeafResult("measured", records.PASS)
    why = f"{', '.join(lacking)} of {found.runtime} was not measured, expected more than nothing"
    return LeafResult("measured", records.FAIL, failure=NUMERIC, evidence=why, message=why)
