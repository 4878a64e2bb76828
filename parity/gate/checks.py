"""One check beside the same check of a baseline: what blocks, what only warns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from parity.core.text import one_line
from parity.gate import verdict
from parity.gate.policy import Drift
from parity.gate.verdict import BLOCK, NOTE, WARN
from parity.records import Check
from parity.records.statuses import CRASH, ERROR, FAIL, FIXED, IN_ORDER, KNOWN, MISSING, PASS, REMEDIED, TIMEOUT

# A check with one of these blocks whatever it was before: there is no answer, or the list of known issues is wrong.
_ALWAYS_BLOCKS = {
    CRASH: (verdict.CRASH, "ended in a crash"),
    TIMEOUT: (verdict.TIMEOUT, "ended in a timeout"),
    ERROR: (verdict.ERROR, "ended in an error"),
    MISSING: (verdict.MISSING, "went missing"),
    FIXED: (verdict.FIXED, "passed although listed as a known issue"),
}
_PASSED = (PASS, REMEDIED)
Checks = Mapping[tuple[str, str], Check]
Pair = tuple[Check | None, Check | None]


class Difference(NamedTuple):
    """One thing to report of a check: level and kind, what happened, its detail, and how bad it is."""

    level: str
    kind: str
    what: str
    detail: str = ""
    worst: float = 0.0


def disorder(check: Check, power: bool) -> str:
    """Return in words what of `check` is out of order by itself; `power`: it is about the power of a probe."""
    return next((f"{found.what}{_colon(found.detail)}" for found in _out_of_order(check, power)), "")


def differing_pairs(old: Checks, new: Checks, drift: Drift) -> Iterator[Pair]:
    """Return the pairs of checks, and those that one side lacks, of which `compare` may report something.

    Nearly all are as they were: both passed, under one limit, at a score that is not over it and did not grow by the
    factor. This quick pass leaves them out.
    """
    factor, floor, gone = drift.score, drift.floor, 0
    for key, before in old.items():
        after = new.get(key)
        if after is None:
            gone += 1
            yield before, None
            continue
        score, was, limit = after.score, before.score, after.limit
        if not before.status == after.status == PASS or limit != before.limit or after.bits_equal != before.bits_equal:
            yield before, after
        elif not score.__class__ is was.__class__ is limit.__class__ is float:
            if not score is was is None:
                yield before, after
        elif score > limit or (score > floor and score > factor * was):  # type: ignore[operator]
            yield before, after
    if len(old) - gone < len(new):
        yield from ((None, check) for key, check in new.items() if key not in old)


def compare(
    before: Check | None, after: Check | None, drift: Drift, power: bool, same: bool, planned: bool = False
) -> list[Difference]:
    """Return what differs in one check.

    Args:
        before: the baseline's, None where it has none.
        after: the candidate's, None where it has none.
        drift: by which factor a score may grow.
        power: whether the check is about the power of a probe.
        same: whether the two ran on machines of one kind, so that bits can be compared.
        planned: whether the candidate has anything of the check's item.
    """
    if after is None:
        if planned and before is not None and before.leaf == "*" and before.status not in IN_ORDER:
            return [Difference(NOTE, verdict.REPAIRED, f"went from {before.status} to a verdict on each leaf")]
        return [Difference(BLOCK, verdict.MISSING, "went missing", "", math.inf)]
    found = _out_of_order(after, power)
    if before is None:
        return _new(after, found)
    found = found or _failed(before, after, drift) or _worse(before, after)
    if found:
        return found
    return [*_changed_status(before, after), *_drifted(before, after, drift, same)]


def _out_of_order(check: Check, power: bool) -> list[Difference]:
    """Return what blocks in a check whatever it was before."""
    if check.status in _ALWAYS_BLOCKS:
        kind, what = _ALWAYS_BLOCKS[check.status]
        return [Difference(BLOCK, kind, what, _reason(check), math.inf)]
    if power and check.status not in IN_ORDER:
        return [Difference(BLOCK, verdict.POWERLESS, "lost all power", _reason(check), math.inf)]
    if check.status in _PASSED and _over(check):
        return [Difference(BLOCK, verdict.OVER, f"scored over the limit, with status {check.status}", *_score(check))]
    return []


def _new(after: Check, found: list[Difference]) -> list[Difference]:
    if not found and after.status in IN_ORDER:
        if after.status == REMEDIED:
            return [_remedied(None, after)]
        return [Difference(NOTE, verdict.NEW, "appeared")]
    what = found[0].what if found else f"ended in {after.status}"
    return [Difference(BLOCK, verdict.NEW_BAD, f"appeared and {what}", _reason(after), _score(after)[1])]


def _worse(before: Check, after: Check) -> list[Difference]:
    """Return what blocks because the baseline was better.

    Among what has no answer, a wrong one is worse: an error is seen, and a wrong number is served.
    """
    worse = after.status == FAIL != before.status or (after.status == KNOWN and before.status in (*_PASSED, FIXED))
    if worse:
        return [
            Difference(
                BLOCK, verdict.WORSE, f"went from {before.status} to {after.status}", _reason(after), _score(after)[1]
            )
        ]
    if _over(after) and not _over(before):
        return [Difference(BLOCK, verdict.OVER, f"scored over the limit, with status {after.status}", *_score(after))]
    if before.limit is not None:
        limit = math.nan if after.limit is None else float(after.limit)
        if not limit <= float(before.limit):
            became = "none" if after.limit is None else digits(limit)
            return [Difference(BLOCK, verdict.LIMIT, f"had the limit raised from {digits(before.limit)} to {became}")]
    if before.score is not None and after.score is None and after.status in _PASSED:
        return [Difference(BLOCK, verdict.UNMEASURED, "passed without the score that the baseline has")]
    return []


def _failed(before: Check, after: Check, drift: Drift) -> list[Difference]:
    """Return what blocks though the check failed in both: another failure, or one that is worse by the factor."""
    if before.status == after.status == FAIL:
        if after.failure and after.failure != before.failure:
            return [Difference(BLOCK, verdict.WORSE, "failed in another way", _reason(after), _score(after)[1])]
        if not _finite(after) and _finite(before):
            return [Difference(BLOCK, verdict.WORSE, "failed with a score that is no longer finite", *_score(after))]
        was, score = before.score, after.score
        if was is not None and score is not None and score > drift.score * max(was, drift.floor):
            what = f"failed by more than a factor {drift.score:g} than before"
            return [Difference(BLOCK, verdict.WORSE, what, f"{digits(was)} to {digits(score)}", score)]
    return []


def _changed_status(before: Check, after: Check) -> Iterator[Difference]:
    if after.status == REMEDIED:
        yield _remedied(before, after)
    elif after.status == before.status == FAIL:
        yield Difference(NOTE, verdict.STILL, "failed in both", _reason(after), _score(after)[1])
    elif after.status == PASS != before.status:
        yield Difference(NOTE, verdict.REPAIRED, f"went from {before.status} to pass")
    elif after.status == KNOWN != before.status:
        yield Difference(NOTE, verdict.LISTED, f"went from {before.status} to known", _reason(after), 0.0)


def _drifted(before: Check, after: Check, drift: Drift, same: bool) -> Iterator[Difference]:
    if after.status not in _PASSED:
        return
    if before.score is not None and after.score is not None:
        was, score = float(before.score), float(after.score)
        if score > drift.score * max(was, drift.floor):
            what = f"scored higher by more than a factor {drift.score:g}"
            yield Difference(WARN, verdict.DRIFT, what, f"{digits(was)} to {digits(score)}", score)
    if same and before.bits_equal and not after.bits_equal:
        yield Difference(WARN, verdict.BITS, "lost bits that were equal")


def _remedied(before: Check | None, after: Check) -> Difference:
    """Return the difference of a check that needs a remedy."""
    if before is not None and before.status == REMEDIED:
        return Difference(NOTE, verdict.REMEDIED, "passed only with a remedy, as before", _reason(after), 0.0)
    return Difference(WARN, verdict.REMEDIED, "passed only with a remedy", _reason(after), 0.0)


def _over(check: Check) -> bool:
    """Return whether the score is over the limit, or not a number."""
    if check.score is None:
        return False
    score, limit = float(check.score), math.inf if check.limit is None else float(check.limit)
    return not score <= limit


def _finite(check: Check) -> bool:
    return check.score is None or math.isfinite(float(check.score))


def _score(check: Check) -> tuple[str, float]:
    """Return a text of the score and its limit, and how bad that is."""
    if check.score is None:
        return "", 0.0
    score, limit = float(check.score), "none" if check.limit is None else digits(check.limit)
    return f"score {digits(score)}, limit {limit}", math.inf if math.isnan(score) else score


def _reason(check: Check) -> str:
    """Return why a check is as it is: its failure and evidence, or its score, or its message."""
    if check.failure or check.evidence:
        return ", ".join(filter(None, (check.failure, check.evidence)))
    return _score(check)[0] or check.message or ""


def _colon(detail: str) -> str:
    return f": {one_line(detail, 240)}" if detail else ""


def digits(value: float | str) -> str:
    """Return `value` with three digits."""
    return f"{float(value):.3g}"
