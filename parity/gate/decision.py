"""The verdict on a candidate beside a baseline: what got worse, what drifted, and whether to upgrade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from parity.core.errors import NotComparableError
from parity.core.text import one_line, plural
from parity.gate import latency, levels, machines, measures, releases, verdict
from parity.gate.checks import Pair, compare, differing_pairs
from parity.gate.policy import ADVISORY, Policy
from parity.gate.side import PACKAGES, PAIR, Side
from parity.gate.verdict import BLOCK, NOTE, STAY, UPGRADE, WARN, WITH_REMEDY, Finding, Verdict
from parity.records.rows import Place
from parity.records.statuses import COMPLETE, CRASH, MISSING, TIMEOUT

_INEXCUSABLE = (CRASH, TIMEOUT, MISSING)
"""Statuses that block under every policy."""


def judge(baseline: Side, candidate: Side, policy: Policy, repeats: Sequence[Side] = ()) -> Verdict:
    """Return whether to go from `baseline` to `candidate`.

    Args:
        baseline: what it is held against.
        candidate: what it is about.
        policy: what blocks, and what only warns.
        repeats: further runs of the candidate's releases on its machine, which confirm that a step takes longer.

    Raises:
        NotComparableError: the baseline is none to hold anything against, the two have nothing in common, or a repeat
            is none.
        UsageError: a rule of the policy matches nothing in either.
    """
    _require_comparable(baseline, candidate)
    if policy.own_rules():
        policy.require_matches(baseline.names() | candidate.names())
    latency.require_repeats(baseline, candidate, repeats)
    of_levels = list(levels.compare_levels(baseline, candidate))
    baseline, candidate = levels.common(baseline, candidate)
    pairs = list(differing_pairs(baseline.checks, candidate.checks, policy.drift))
    found = [
        *of_levels,
        *_of_runs(baseline, candidate),
        *_of_releases(baseline, candidate, policy),
        *_of_checks(baseline, candidate, pairs, policy),
        *measures.compare_powers(baseline, candidate, policy),
        *measures.compare_budgets(baseline, candidate, policy.drift),
        *measures.compare_deprecations(baseline, candidate),
        *latency.compare_timings(baseline, candidate, policy, repeats),
        *latency.compare_footprints(baseline, candidate, policy.drift),
    ]
    found.sort(key=verdict.order)
    groups = verdict.grouped(found)
    compared = len(baseline.checks) - sum(after is None for _, after in pairs)
    decision, why = _decide(found, groups, compared, candidate)
    return Verdict(
        decision, f"{decision.capitalize()} ({_move(baseline, candidate)}): {why}", found, groups, baseline.name,
        candidate.name, compared,
    )  # fmt: skip


def is_power(place: Place) -> bool:
    """Return whether what is checked there is the power of a probe, and not an answer."""
    return place.test == "power"


def _require_comparable(baseline: Side, candidate: Side) -> None:
    if baseline.started_at and (baseline.cell, baseline.started_at) == (candidate.cell, candidate.started_at):
        raise NotComparableError(
            f"{baseline.source} and {candidate.source} are one and the same run. Expected an old and a new one."
        )
    ended = f"was stopped: {one_line(baseline.stopped.evidence)}" if baseline.stopped else f"was {baseline.state}"
    if not baseline.complete():
        raise NotComparableError(f"{baseline.source} is no baseline: its run {ended}. Run it again to its end.")
    for side in (baseline, candidate) if candidate.complete() else (baseline,):
        if not side.checks:
            raise NotComparableError(f"{side.source} has no checks. Expected a run that checked something.")
    if not baseline.compared():
        raise NotComparableError(
            f"{baseline.source} is no baseline: TensorFlow answered nothing in it. Expected a run of the pair."
        )
    if candidate.complete() and candidate.places.keys().isdisjoint(item for item, _ in baseline.checks):
        raise NotComparableError(
            f"{baseline.source} and {candidate.source} have no item in common: {_about(baseline)} in one, "
            f"{_about(candidate)} in the other. Expected runs of the same case, probes, batch sizes and mode."
        )


def _about(side: Side) -> str:
    """Return what a run is about: its mode, cases, probes and batch sizes."""
    places = list(side.places.values())
    sizes = [f"batch size {p.batch_size or 'of the test set'}" for p in places]
    columns = ([p.case for p in places], [p.probe for p in places], sizes)
    listed = "; ".join(", ".join(map(one_line, sorted(set(names)))) for names in columns)
    return f"mode {side.mode} ({listed})"


def _of_runs(baseline: Side, candidate: Side) -> Iterator[Finding]:
    if candidate.stopped:
        stopped = candidate.stopped
        detail = ", ".join(filter(None, (one_line(stopped.failure), one_line(stopped.evidence, 200))))
        yield Finding(BLOCK, verdict.INCOMPLETE, "", f"the candidate was stopped ({stopped.status})", detail=detail)
    elif candidate.state != COMPLETE:
        yield Finding(BLOCK, verdict.INCOMPLETE, "", f"the candidate's run was {candidate.state}")
    elif not candidate.compared():
        yield Finding(BLOCK, verdict.INCOMPLETE, "", "TensorFlow answered nothing in the candidate")
    if baseline.mode != candidate.mode:
        reason = f"the baseline's mode is {baseline.mode}, the candidate's {candidate.mode}, which has other items"
        yield Finding(NOTE, verdict.MODE, "", reason)


def _of_releases(baseline: Side, candidate: Side, policy: Policy) -> Iterator[Finding]:
    """Yield what says that the sides are swapped; where no release moved, the time of the runs may say it."""
    moved = releases.moved(baseline.versions, candidate.versions)
    if any(name in moved for name in PAIR):  # jax and tensorflow decide; others follow them
        moved = {name: direction for name, direction in moved.items() if name in PAIR}
    older, newer, unordered = (
        [name for name, direction in moved.items() if direction == wanted]
        for wanted in (releases.OLDER, releases.NEWER, releases.UNORDERED)
    )
    if unordered:
        what = f"the order of the releases of {' and '.join(unordered)} is not known"
        yield Finding(WARN, verdict.UNORDERED, "", what)
    if older and newer:
        what = f"the candidate has older releases of {' and '.join(older)}, newer ones of {' and '.join(newer)}"
        yield Finding(WARN, verdict.OLDER, "", what)
    elif older:
        hard = policy.downgrade != ADVISORY
        what = f"the candidate has older releases than the baseline, of {' and '.join(older)}"
        question = "are the two swapped? A downgrade on purpose is allowed by --allow-downgrade"
        excuse = "" if hard else "a downgrade is allowed here"
        level = BLOCK if hard else WARN
        yield Finding(level, verdict.SWAPPED, "", what, detail=question if hard else "", excuse=excuse)
    elif not moved and candidate.started_at and candidate.started_at < (baseline.started_at or ""):
        yield Finding(WARN, verdict.SWAPPED, "", "the candidate ran before the baseline: are the two swapped?")


def _of_checks(baseline: Side, candidate: Side, pairs: Iterable[Pair], policy: Policy) -> Iterator[Finding]:
    """Yield the findings of pairs of checks."""
    same = machines.same_kind(baseline.machine, candidate.machine)
    for before, after in pairs:
        check = after or before
        assert check is not None
        # Where both have it the baseline says where it belongs: no candidate moves itself under an easier rule.
        place = (baseline if before else candidate).places[check.item]
        power = is_power(place)
        # A leaf is gone where its whole item ended in an error: what became of the item is what counts.
        ended = after or candidate.checks.get((check.item, "*"))
        hard = ended is None or ended.status in _INEXCUSABLE
        excuse = "" if hard else policy.excuse(place.case, place.probe, place.runtime)
        planned = check.item in candidate.places
        for level, kind, what, detail, worst in compare(before, after, policy.drift, power, same, planned):
            why = excuse if level == BLOCK or kind == verdict.REMEDIED else ""
            yield Finding(
                WARN if why and level == BLOCK else level, kind, "check", what, check.item, check.leaf, place.case,
                place.probe, place.runtime, detail, worst, why,
            )  # fmt: skip


def _decide(found: list[Finding], groups: list[verdict.Group], compared: int, candidate: Side) -> tuple[str, str]:
    """Return the decision, and why."""
    blocks = [group for group in groups if group.level == BLOCK]
    if blocks:
        more = sum(group.count for group in blocks[1:])
        first = blocks[0].sentence.removesuffix(".")
        others = f"; {plural(more, 'more finding blocks', 'more findings block')}" if more else ""
        return STAY, f"{first}{others}."
    mended = [finding for finding in found if finding.kind == verdict.REMEDIED and not finding.excuse]
    total, warned = compared, sum(group.count for group in groups if group.level == WARN)
    excused = sum(bool(finding.excuse) and finding.kind != verdict.REMEDIED for finding in found)
    warned -= excused + sum(finding.level == WARN for finding in mended)
    advisory = f"{plural(excused, 'finding is', 'findings are')} advisory" if excused else ""
    still = sum(group.count for group in groups if group.kind == verdict.STILL)
    further = "".join([
        f", {plural(warned, 'warning')}" if warned else "",
        f", {still:,} failed in both" if still else "",
    ])  # fmt: skip
    if mended:
        further = f"{advisory and f', {advisory}'}{further}"
        return (
            WITH_REMEDY,
            f"{len(mended):,} of {plural(total, 'check')} pass only {_remedy(mended, candidate)}{further}.",
        )
    added = len(candidate.checks) - total
    new = f", and {added:,} {'is' if added == 1 else 'are'} new" if added else ""
    return UPGRADE, f"{advisory or 'nothing got worse'} in {plural(total, 'check')}{new}{further}."


def _remedy(mended: list[Finding], candidate: Side) -> str:
    """Return the remedy that the checks need, and the failure that calls for it."""
    cases = {finding.case for finding in mended}
    named = [remedy for remedy in candidate.remedies if remedy.case in cases]
    if not named:
        detail = one_line(mended[0].detail, 240)
        return "with a remedy" + (f" (as exported by default: {detail})" if detail else "")
    first = named[0]
    failure = ", ".join(one_line(text, 200) for text in (first.failure, first.evidence) if text)
    return f'exported under parity.readable_by("{one_line(first.requirement)}") (by default: {failure})'


def _move(baseline: Side, candidate: Side) -> str:
    """Return from which releases to which; of packages beside jax and tensorflow those that are known to differ."""
    old, new = baseline.versions, candidate.versions
    moved = [name for name in PACKAGES if old.get(name) and new.get(name) and old[name] != new[name]]
    return ", ".join(_step(name, old.get(name), new.get(name)) for name in PACKAGES if name in PAIR or name in moved)


def _step(name: str, old: str | None, new: str | None) -> str:
    before, after = (one_line(version or "not installed", 60) for version in (old, new))
    return f"{name} {before}" if before == after else f"{name} {before} to {after}"
