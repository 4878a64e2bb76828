"""From leaf results to recorded checks: the remedy of the export and the known issues decide the final status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from parity import records
from parity.compat import known_issues
from parity.compat.handshake import Prediction
from parity.core import failures
from parity.core.failures import NUMERIC, Failure
from parity.records import NO_DEVICE, WHOLE, WHOLE_AGAIN, Check, Deprecation, PlanItem, Recorder, Remedy, Run
from parity.scoring.rules import LeafResult
from parity.session import failing


class RunRecord:
    """The record of a run in progress.

    Args:
        run: the record to fill.
        issues: the known issues that failed checks are matched with.
    """

    def __init__(self, run: Run, issues: Sequence[known_issues.KnownIssue]) -> None:
        self.run = run
        self.predictions: dict[str, Prediction] = {}
        self.issues = issues
        self._recorder: Recorder | None = None

    def begin(self, folder: Path | None, plan: Iterable[PlanItem]) -> None:
        """Record the plan before the first check, into `folder` if there is one."""
        if folder is not None:
            self._recorder = Recorder(folder, self.run)
        for item in plan:
            self.add(item)

    def add(self, event: Any) -> None:
        """Append an event to the record."""
        if self._recorder is not None:
            self._recorder.add(event)
        else:
            records.append(self.run, event)

    def deprecated(self, found: Deprecation) -> None:
        """Record a deprecation, once."""
        if found not in (self.run.deprecations or ()):
            self.add(found)

    def checks(
        self, item: PlanItem, results: Iterable[LeafResult], size: int, repeat: str, remedy: Remedy | None,
        limit: float, limit_reason: str | None = None,
    ) -> list[Check]:  # fmt: skip
        """Record a check for each result, and return them with their final status.

        Args:
            item: what was asked.
            results: one for each leaf.
            size: the number of examples.
            repeat: the command that runs this test alone.
            remedy: the remedy under which the artifact was exported; None where there is none, or JAX alone answers.
            limit: of the case, for results that carry none of their own.
            limit_reason: why the case has a limit of its own.
        """
        about = {"batch_size": size, "limit_reason": limit_reason, "repeat": repeat or None}
        found = [self._final(item.check(**about, **_fields(result, limit)), remedy) for result in results]
        for check in found:
            self.add(check)
        return found

    def error(self, item: PlanItem, error: BaseException, note: str | None, repeat: str, remedy: Remedy | None) -> None:
        """Record that an item ended in `error`, unless a check says so already; `note` says why no remedy helped."""
        before = [check for check in self.run.checks if check.item == item.item]
        if any(check.status not in records.IN_ORDER for check in before):
            return
        status = getattr(error, "status", records.ERROR)
        message = "; ".join(filter(None, (failing.message(error).rstrip("."), note)))
        ended = status in (records.CRASH, records.TIMEOUT)  # the class of failure has the same name
        failure = Failure(status, message) if ended else failures.of(error)
        check = item.check(
            leaf=WHOLE, status=status, failure=failure.kind, evidence=failure.evidence,
            message=message, repeat=repeat or None,
        )  # fmt: skip
        self._add_whole(self._final(check, remedy))

    def in_order(self, item: str) -> bool:
        """Return whether an item has checks, and all are in order."""
        found = [check.status for check in self.run.checks if check.item == item]
        return bool(found) and all(status in records.IN_ORDER for status in found)

    def missing(self, item: PlanItem, why: str, repeat: str) -> None:
        """Record that nothing was checked for an item, and why, unless a check of the whole item is not in order."""
        self._add_whole(item.check(leaf=WHOLE, status=records.MISSING, message=why, repeat=repeat or None))

    def _add_whole(self, check: Check) -> None:
        """Add a check of a whole item, which several tests may have: the first, and the first that is not in order."""
        whole = [c for c in self.run.checks if c.item == check.item and c.leaf in (WHOLE, WHOLE_AGAIN)]
        if not whole:
            self.add(check)
        elif check.status not in records.IN_ORDER and all(c.status in records.IN_ORDER for c in whole):
            self.add(msgspec.structs.replace(check, leaf=WHOLE_AGAIN))

    def _final(self, check: Check, remedy: Remedy | None) -> Check:
        if remedy is not None and check.tf_device != NO_DEVICE:
            remedy = self._completed(remedy)
            if check.status == records.PASS:
                check = msgspec.structs.replace(
                    check, status=records.REMEDIED, failure=remedy.failure, evidence=remedy.evidence
                )
        if check.status == records.FAIL and check.failure is None:
            check = msgspec.structs.replace(check, failure=NUMERIC, evidence=check.message)
        return known_issues.apply(check, self.run.environment, self.issues)

    def _completed(self, remedy: Remedy) -> Remedy:
        """Return the remedy with the operations that the handshake names, recorded once."""
        predicted = self.predictions.get(remedy.case)
        if predicted is not None:
            evidence = predicted.with_operations(remedy.failure, remedy.evidence)
            remedy = msgspec.structs.replace(remedy, evidence=evidence)
        if remedy not in self.run.remedies:
            self.add(remedy)
        return remedy

    def seal(self, state: str, spent_s: dict[str, float]) -> None:
        """End the record."""
        self.run.state, self.run.ended_at, self.run.spent_s = state, records.now(), spent_s
        if self._recorder is not None:
            self._recorder.seal(state, spent_s)


def _fields(result: LeafResult, limit: float) -> dict[str, Any]:
    return {**vars(result), "limit": limit if result.limit is None else result.limit}
