"""What stands beside the checks: powers, budgets and deprecation warnings of both sides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from parity.gate import verdict
from parity.gate.checks import digits
from parity.gate.policy import Drift, Policy
from parity.gate.side import PAIR, Side
from parity.gate.verdict import BLOCK, NOTE, WARN, Finding
from parity.records.statuses import CRASH, ERROR, MISSING, TIMEOUT

NO_VERDICT = (ERROR, CRASH, TIMEOUT, MISSING)


def compare_powers(baseline: Side, candidate: Side, policy: Policy) -> Iterator[Finding]:
    """Yield probes that catch less than they did, and powers that are missing."""
    old, new = baseline.powers, candidate.powers
    best_old, best_new = _best(old), _best(new)
    for (case, probe, size), error in best_new.items():
        if math.isinf(error):
            excuse = policy.excuse(case, probe, "")
            yield Finding(
                WARN if excuse else BLOCK, verdict.POWERLESS, "probe", "lost all power",
                f"{probe} at batch size {size}",
                case=case, probe=probe, detail="no error in any weight would be caught", worst=math.inf, excuse=excuse,
            )  # fmt: skip
    for (case, probe, size, weight), error in old.items():
        after = new.get((case, probe, size, weight))
        item = f"{probe} at batch size {size}"
        if after is None:
            yield Finding(BLOCK, verdict.MISSING, "power", "went missing", item, weight, case, probe, worst=math.inf)
        elif _blind(after) and not _blind(error) and not math.isinf(best_new[case, probe, size]):
            yield Finding(WARN, verdict.POWER, "power", "went blind to a weight", item, weight, case, probe)
    for (case, probe, size), error in best_old.items():
        after = best_new.get((case, probe, size), math.inf)
        if not math.isinf(after) and after > policy.drift.power * error:
            yield Finding(
                WARN, verdict.POWER, "probe", f"lost power by more than a factor {policy.drift.power:g}",
                f"{probe} at batch size {size}", case=case, probe=probe,
                detail=f"the smallest error caught went from {digits(error)} to {digits(after)}",
                worst=after / error if error else math.inf,
            )  # fmt: skip


def _blind(error: float) -> bool:
    return not error < math.inf


def _best(powers: dict[tuple[str, str, int, str], float]) -> dict[tuple[str, str, int], float]:
    """Return the smallest error that each probe catches in any weight; infinite where it catches none."""
    best: dict[tuple[str, str, int], float] = {}
    for (case, probe, size, _), error in powers.items():
        best[case, probe, size] = min(best.get((case, probe, size), math.inf), math.inf if _blind(error) else error)
    return best


def compare_budgets(baseline: Side, candidate: Side, drift: Drift) -> Iterator[Finding]:
    """Yield budgets that are missing, and those that grew: the scores measured by them are smaller than they were.

    Where nothing of the probe was answered its checks say so already, and its budgets are no further findings.
    """
    silenced = _silenced(baseline, candidate) if baseline.budgets.keys() - candidate.budgets.keys() else set()
    what = f"got wider by more than a factor {drift.budget:g}"
    for key, before in baseline.budgets.items():
        after = candidate.budgets.get(key)
        case, probe, size, leaf = key
        item = f"{probe} at batch size {size}"
        if after is None:
            if (case, probe) not in silenced:
                yield Finding(BLOCK, verdict.MISSING, "budget", "went missing", item, leaf, case, probe, worst=math.inf)
            continue
        pairs = [(was, became) for was, became in zip(before, after, strict=True) if not became <= drift.budget * was]
        if pairs:
            was, became = pairs[0]
            detail = f"{digits(was)} to {digits(became)}; scores are measured by it"
            worst = became / was if was else math.inf
            yield Finding(
                WARN, verdict.BUDGET, "budget", what, item, leaf, case, probe, detail=detail,
                worst=math.inf if math.isnan(worst) else worst,
            )  # fmt: skip


def _silenced(baseline: Side, candidate: Side) -> set[tuple[str, str]]:
    """Case and probe of what the baseline checked, and of which the candidate has no verdict at all."""
    old = {check.item for check in baseline.checks.values()}
    new = {check.item for check in candidate.checks.values() if check.status not in NO_VERDICT}
    return _probes(baseline, old) - _probes(candidate, new)


def _probes(side: Side, items: Iterable[str]) -> set[tuple[str, str]]:
    return {(side.places[item].case, side.places[item].probe) for item in items}


def compare_deprecations(baseline: Side, candidate: Side) -> Iterator[Finding]:
    """Yield warnings of jax and tensorflow that are new; only notes where the baseline's were not recorded."""
    level, what = WARN, "appeared"
    if baseline.deprecations is None:
        level, what = NOTE, "appeared, new or not: the baseline recorded none"
    for warning in (candidate.deprecations or set()) - (baseline.deprecations or set()):
        if warning.package in PAIR:
            detail = warning.message
            yield Finding(level, verdict.DEPRECATION, "deprecation warning", what, case=warning.package, detail=detail)
