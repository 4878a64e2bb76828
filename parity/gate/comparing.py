"""One check beside the same check of a baseline: what blocks, what only warns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from parity.core.text import one_line
from parity.gate import verdict as words
from parity.gate.policy import Drift
from parity.gate.verdict import BLOCK, NOTE, WARN
from parity.records import Check
from parity.records.statuses import CRASH, ERROR, FAIL, FIXED, IN_ORDER, KNOWN, MISSING, PASS, REMEDIED, TIMEOUT

# A check with one of these blocks whatever it was before: there is no answer, or the list of known issues is wrong.
_NEVER = {
    CRASH: (words.CRASH, "ended in a crash"),
    TIMEOUT: (words.TIMEOUT, "ended in a timeout"),
    ERROR: (words.ERROR, "ended in an error"),
    MISSING: (words.MISSING, "went missing"),
    FIXED: (words.FIXED, "passed although listed as a known issue"),
}
_PASSED = (PASS, REMEDIED)
Checks = Mapping[tuple[str, str], Check]
Pair = tuple[Check | None, Check | None]
_Told = tuple[str, str, str, str, float]
"""Level, kind, what happened, detail, and how bad it is."""


def disorder(check: Check, power: bool = False) -> str:
    """What of `check` is out of order by itself, in words; empty where nothing is. `power`: it is about a power."""
    return next((f"{what}{_colon(detail)}" for level, _, what, detail, _ in _alone(check, power)), "")


def remarkable(old: Checks, new: Checks, drift: Drift) -> Iterator[Pair]:
    """The pairs of checks, and those that one side lacks, of which `compare` may have something to say.

    Nearly all are as they were, and are told from the rest here, quickly: both passed, under one limit, at a score that
    is not over it and did not grow by the factor.
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
    before: Check | None, after: Check | None, drift: Drift, power: bool, same: bool, asked: bool = False
) -> list[_Told]:
    """What there is to say of one check.

    Args:
        before: the baseline's, None where it has none.
        after: the candidate's, None where it has none.
        drift: by which factor a score may grow.
        power: whether the check is about the power of a probe.
        same: whether the two ran on machines of one kind, so that bits can be compared.
        asked: whether the candidate has anything of the check's item.
    """
    if after is None:
        if asked and before is not None and before.leaf == "*" and before.status not in IN_ORDER:
            return [(NOTE, words.REPAIRED, f"went from {before.status} to a verdict on each leaf", "", 0.0)]
        return [(BLOCK, words.MISSING, "went missing", "", math.inf)]
    told = _alone(after, power)
    if before is None:
        return _new(after, told)
    told = told or _failed(before, after, drift) or _against(before, after)
    if told:
        return told
    return [*_became(before, after), *_drifted(before, after, drift, same)]


def _alone(check: Check, power: bool) -> list[_Told]:
    """What blocks in a check whatever it was before."""
    if check.status in _NEVER:
        kind, what = _NEVER[check.status]
        return [(BLOCK, kind, what, _because(check), math.inf)]
    if power and check.status not in IN_ORDER:
        return [(BLOCK, words.POWERLESS, "lost all power", _because(check), math.inf)]
    if check.status in _PASSED and _over(check):
        return [(BLOCK, words.OVER, f"scored over the limit, with status {check.status}", *_scored(check))]
    return []


def _new(after: Check, told: list[_Told]) -> list[_Told]:
    if not told and after.status in IN_ORDER:
        if after.status == REMEDIED:
            return [_mended(None, after)]
        return [(NOTE, words.NEW, "appeared", "", 0.0)]
    what = told[0][2] if told else f"ended in {after.status}"
    return [(BLOCK, words.NEW_BAD, f"appeared and {what}", _because(after), _scored(after)[1])]


def _against(before: Check, after: Check) -> list[_Told]:
    """What blocks because the baseline was better.

    Among what has no answer, a wrong one is worse: an error is seen, and a wrong number is served.
    """
    worse = after.status == FAIL != before.status or (after.status == KNOWN and before.status in (*_PASSED, FIXED))
    if worse:
        return [
            (BLOCK, words.WORSE, f"went from {before.status} to {after.status}", _because(after), _scored(after)[1])
        ]
    if _over(after) and not _over(before):
        return [(BLOCK, words.OVER, f"scored over the limit, with status {after.status}", *_scored(after))]
    if before.limit is not None:
        limit = math.nan if after.limit is None else float(after.limit)
        if not limit <= float(before.limit):
            became = "none" if after.limit is None else digits(limit)
            return [(BLOCK, words.LIMIT, f"had the limit raised from {digits(before.limit)} to {became}", "", 0.0)]
    if before.score is not None and after.score is None and after.status in _PASSED:
        return [(BLOCK, words.UNMEASURED, "passed without the score that the baseline has", "", 0.0)]
    return []


def _failed(before: Check, after: Check, drift: Drift) -> list[_Told]:
    """Return what blocks though the check failed in both: another failure, or one that is worse by the factor."""
    if before.status == after.status == FAIL:
        if after.failure and after.failure != before.failure:
            return [(BLOCK, words.WORSE, "failed in another way", _because(after), _scored(after)[1])]
        if not _finite(after) and _finite(before):
            return [(BLOCK, words.WORSE, "failed with a score that is no longer finite", *_scored(after))]
        was, score = before.score, after.score
        if was is not None and score is not None and score > drift.score * max(was, drift.floor):
            what = f"failed by more than a factor {drift.score:g} than before"
            return [(BLOCK, words.WORSE, what, f"{digits(was)} to {digits(score)}", score)]
    return []


def _became(before: Check, after: Check) -> Iterator[_Told]:
    if after.status == REMEDIED:
        yield _mended(before, after)
    elif after.status == before.status == FAIL:
        yield NOTE, words.STILL, "failed in both", _because(after), _scored(after)[1]
    elif after.status == PASS != before.status:
        yield NOTE, words.REPAIRED, f"went from {before.status} to pass", "", 0.0
    elif after.status == KNOWN != before.status:
        yield NOTE, words.LISTED, f"went from {before.status} to known", _because(after), 0.0


def _drifted(before: Check, after: Check, drift: Drift, same: bool) -> Iterator[_Told]:
    if after.status not in _PASSED:
        return
    if before.score is not None and after.score is not None:
        was, score = float(before.score), float(after.score)
        if score > drift.score * max(was, drift.floor):
            what = f"scored higher by more than a factor {drift.score:g}"
            yield WARN, words.DRIFT, what, f"{digits(was)} to {digits(score)}", score
    if same and before.bits_equal and not after.bits_equal:
        yield WARN, words.BITS, "lost bits that were equal", "", 0.0


def _mended(before: Check | None, after: Check) -> _Told:
    """A check that needs a remedy: new is that it does, or nothing."""
    if before is not None and before.status == REMEDIED:
        return NOTE, words.REMEDIED, "passed only with a remedy, as before", _because(after), 0.0
    return WARN, words.REMEDIED, "passed only with a remedy", _because(after), 0.0


def _over(check: Check) -> bool:
    """Whether the score is over the limit, or none that can be compared."""
    if check.score is None:
        return False
    score, limit = float(check.score), math.inf if check.limit is None else float(check.limit)
    return not score <= limit


def _finite(check: Check) -> bool:
    return check.score is None or math.isfinite(float(check.score))


def _scored(check: Check) -> tuple[str, float]:
    """The score beside its limit, and how bad that is."""
    if check.score is None:
        return "", 0.0
    score, limit = float(check.score), "none" if check.limit is None else digits(check.limit)
    return f"score {digits(score)}, limit {limit}", math.inf if math.isnan(score) else score


def _because(check: Check) -> str:
    """Why a check is as it is: its failure and evidence, or its score, or its message."""
    if check.failure or check.evidence:
        return ", ".join(filter(None, (check.failure, check.evidence)))
    return _scored(check)[0] or check.message or ""


def _colon(detail: str) -> str:
    return f": {one_line(detail, 240)}" if detail else ""


def digits(value: float | str) -> str:
    """Three digits."""
    return f"{float(value):.3g}"
