"""Decide which side moved between two pairs of releases, from the records of their four corners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from parity.compat.handshake import Reader
from parity.core.failures import REMEDIABLE, RESOLVER
from parity.records import IN_ORDER, NO_DEVICE, PASS, Check, Run, cells
from parity.upgrade.pairs import JAX, PACKAGES, TENSORFLOW, Pair, corners, other_package
from parity.upgrade.reasons import CONVERTED, OTHERS, PROGRAM, READER, UPGRADE, Change, Finding, Reason

_OPERATIONS = "operations"
"""The case of single operations: its scores say nothing of the model."""
_CAUSES = {
    (True, False): Reason.JAX_MOVED, (False, True): Reason.TENSORFLOW_MOVED,
    (True, True): Reason.BOTH, (False, False): Reason.INTERACTION,
}  # fmt: skip
"""The cause by whether new/old and old/new are broken, where new/new is and old/old is not."""


@dataclass(frozen=True)
class Corners:
    """The recorded runs of the four corners.

    A score moves where it changes by more than the factor `growth`; scores up to `floor` count as `floor`.
    """

    old: Pair
    new: Pair
    runs: Mapping[Pair, Run]
    growth: float
    floor: float

    def run(self, pair: Pair) -> Run | None:
        """Return the record of that corner; None where there is none or its releases could not be installed."""
        return None if self.broken(pair) is None else self.runs[pair]

    def broken(self, pair: Pair) -> bool | None:
        """Return whether that corner does not pass as exported by default; None where that is not known."""
        if pair not in self.runs:
            return None
        outcome = cells.outcome(self.runs[pair])
        return None if outcome.failure == RESOLVER else outcome.status != PASS

    def having(self, package: str, release: str) -> list[Run]:
        """Return the records with that release, the one beside the other release of its own pair first."""
        pairs = (self.old, self.new) if getattr(self.old, package) == release else (self.new, self.old)
        found = (self.run(replace(pair, **{package: release})) for pair in dict.fromkeys(pairs))
        return [run for run in found if run is not None]

    def across(self, package: str, others: Iterable[str]) -> Iterator[tuple[str, Run, Run]]:
        """Yield the records of the old and the new `package` that share a release of `others`, and name that."""
        other = other_package(package)
        for release in dict.fromkeys(others):
            before, after = (self.run(replace(pair, **{other: release})) for pair in (self.old, self.new))
            if before is not None and after is not None:
                yield f"{other} {release}", before, after


def attribute(known: Corners, blocked: bool = False) -> list[Finding]:
    """Return a finding for the upgrade and for each side; for other packages and converted programs if they differ.

    Args:
        known: the recorded corners.
        blocked: whether the gate blocks the new pair.
    """
    scores = [_jax(known), _tensorflow(known), *_converted(known)]
    program = _program(known)
    if program.reason == Reason.PROGRAM_MOVED and all(one.moved is False for one in scores):
        program = replace(program, reason=Reason.PROGRAM_MOVED_ALONE)
    return [_upgrade(known, blocked), *scores, program, _reader(known), *_others(known)]


def _upgrade(known: Corners, blocked: bool) -> Finding:
    old, new = known.old, known.new
    broken = {name: known.broken(pair) for name, pair in corners(old, new).items()}
    mixed = {name: corners(old, new)[name] for name in ("new/old", "old/new")}
    facts = {"old": str(old), "new": str(new)}
    for name, pair in (("outcome", new), ("old_outcome", old)):
        if pair in known.runs:
            facts[name] = str(cells.outcome(known.runs[pair]))
    if broken["new/new"] is None:
        reason = Reason.NO_INSTALL if new in known.runs else Reason.NO_RECORD
    elif not broken["new/new"]:
        reason = Reason.GATE_BLOCKS if blocked else Reason.NOTHING_BROKE
    elif broken["old/old"]:
        reason = Reason.BROKEN_BEFORE
    elif old.jax == new.jax or old.tensorflow == new.tensorflow:
        reason = Reason.TENSORFLOW_MOVED if old.jax == new.jax else Reason.JAX_MOVED
    elif silent := [str(pair) for name, pair in mixed.items() if broken[name] is None]:
        reason, facts["corners"] = Reason.UNDECIDED, " and ".join(silent)
    else:
        reason = _CAUSES[bool(broken["new/old"]), bool(broken["old/new"])]
    return Finding(UPGRADE, reason, facts)


def _jax(known: Corners) -> Finding:
    before, after = (known.having(JAX, pair.jax)[:1] for pair in (known.old, known.new))
    return _scores_of(JAX, known, [("", *two) for two in zip(before, after, strict=False)], _is_jax)


def _tensorflow(known: Corners) -> Finding:
    runs = known.across(TENSORFLOW, (known.old.jax, known.new.jax))
    return _scores_of(TENSORFLOW, known, runs, _is_tensorflow)


def _scores_of(
    package: str, known: Corners, runs: Iterable[tuple[str, Run, Run]], chosen: Callable[[Check], bool]
) -> Finding:
    """Compare the scores of the old and the new `package`: the largest change in each two runs, and what now fails."""
    old, new = getattr(known.old, package), getattr(known.new, package)
    if old == new:
        return Finding(package, Reason.SAME_RELEASE, {"old": old})
    fail: set[str] = set()
    changes, moved = [], False
    for beside, before, after in runs:
        fail |= _failing(after, chosen) - _failing(before, chosen)
        if found := _score_changes(known, before, after, chosen):
            factor, change = found[0]
            changes.append(replace(change, beside=beside))
            moved = moved or factor > known.growth
    facts = {"old": old, "new": new}
    if fail:
        return Finding(package, Reason.CHECKS_FAIL, {**facts, "probes": ", ".join(sorted(fail))}, tuple(changes))
    reason = (Reason.SCORES_MOVED if moved else Reason.SCORES_SAME) if changes else Reason.NO_SCORES
    return Finding(package, reason, facts, tuple(changes))


def _converted(known: Corners) -> Iterator[Finding]:
    """Compare TensorFlow's answers to what the old and the new jax export, on the same tensorflow.

    A score may change where the distance from the oracle does not: another jax trains another model, with other
    budgets. The largest change of which the distance moved is reported first.
    """
    facts = {"side": "tensorflow on what jax exports", "old": f"jax {known.old.jax}", "new": known.new.jax}
    if known.old.jax == known.new.jax:
        return
    found = [
        (factor, replace(change, beside=beside), before, after)
        for beside, before, after in known.across(JAX, (known.new.tensorflow, known.old.tensorflow))
        for factor, change in _score_changes(known, before, after, _is_tensorflow)
    ]
    found.sort(key=lambda one: -one[0])
    moved = [_by_distance(known, *one[1:]) for one in found if one[0] > known.growth]
    if not found:
        yield Finding(CONVERTED, Reason.NO_SCORES, facts)
    elif not moved:
        yield Finding(CONVERTED, Reason.SCORES_SAME, facts, (found[0][1],))
    else:
        reason, changes = next((one for one in moved if one[0] == Reason.SCORES_MOVED), moved[0])
        yield Finding(CONVERTED, reason, facts, changes)


def _by_distance(known: Corners, change: Change, before: Run, after: Run) -> tuple[Reason, tuple[Change, ...]]:
    """Return whether the distance of the leaf whose score changed moved, or only its budget."""

    def checks(run: Run) -> dict[tuple[str, str], Check]:
        return {(c.item, c.leaf): c for c in run.checks if c.probe == change.what and _is_tensorflow(c)}

    both = checks(before), checks(after)
    higher = both[0] if change.old > change.new else both[1]
    worst = max(both[0].keys() & both[1].keys(), key=lambda key: higher[key].score or 0.0, default=None)
    if worst is None:
        return Reason.SCORES_MOVED, (change,)
    one, two = both[0][worst], both[1][worst]
    name = f"{one.probe} {one.leaf}"
    score = Change(name, one.score, two.score, change.beside)
    was, now = _budget(before, one), _budget(after, two)
    if was is None or now is None:
        return Reason.SCORES_MOVED, (score,)
    distances = [(one.score or 0.0) * was, (two.score or 0.0) * now]
    same = max(distances) <= known.growth * min(distances)
    changes = (score, Change(f"{name} budget", was, now), Change(f"{name} distance", distances[0], distances[1]))
    return Reason.BUDGET_MOVED if same else Reason.SCORES_MOVED, changes


def _budget(run: Run, check: Check) -> float | None:
    """Return the RMS budget of the leaf of `check`."""
    key = (check.case, check.probe, check.batch_size, check.leaf)
    return next((b.rms for b in run.budgets if (b.case, b.probe, b.batch_size, b.leaf) == key), None)


def _score_changes(
    known: Corners, before: Run, after: Run, chosen: Callable[[Check], bool]
) -> list[tuple[float, Change]]:
    """Return the change of the worst score of each probe in both runs, and its factor; the largest factor first."""
    old, new = _worst_scores(before, chosen), _worst_scores(after, chosen)
    found = []
    for probe in new.keys() & old.keys():
        low, high = sorted(max(score, known.floor) for score in (old[probe], new[probe]))
        found.append((1.0 if low == high else high / low, Change(probe, old[probe], new[probe])))
    return sorted(found, key=lambda one: (-one[0], -one[1].new, one[1].what))


def _worst_scores(run: Run, chosen: Callable[[Check], bool]) -> dict[str, float]:
    """Return the worst score of each probe; a score that is no number counts as infinite."""
    worst: dict[str, float] = {}
    for check in run.checks:
        if check.score is not None and chosen(check) and check.test != "power":
            score = math.inf if math.isnan(check.score) else check.score
            worst[check.probe] = max(worst.get(check.probe, 0.0), score)
    return worst


def _is_jax(check: Check) -> bool:
    return check.runtime == JAX and check.tf_device == NO_DEVICE


def _is_tensorflow(check: Check) -> bool:
    return check.tf_device != NO_DEVICE and check.case != _OPERATIONS and check.score is not None


def _failing(run: Run, chosen: Callable[[Check], bool]) -> set[str]:
    return {check.probe for check in run.checks if check.status not in IN_ORDER and chosen(check)}


def _program(known: Corners) -> Finding:
    """Compare what the old and the new jax export, beside the same tensorflow where that is recorded."""
    old, new = known.old.jax, known.new.jax
    both = [(before, after) for _, before, after in known.across(JAX, (known.new.tensorflow, known.old.tensorflow))]
    programs = [(_programs(before), _programs(after)) for before, after in both]
    first, last = (next(iter(known.having(JAX, jax)), None) for jax in (old, new))
    programs.append((_programs(first), _programs(last)))
    before, after = next(((one, two) for one, two in programs if one and two), programs[-1])
    if not (before and after):
        return Finding(PROGRAM, Reason.NO_PROGRAMS, {"jax": new if before else old})
    changes = sorted(_differences(before, after), key=_importance)
    recorded = {jax: [found for run in known.having(JAX, jax) if (found := _programs(run))] for jax in (old, new)}
    varies = [jax for jax, found in recorded.items() if any(one != found[0] for one in found)]
    reason = Reason.PROGRAM_MOVED if changes else Reason.PROGRAM_VARIES if varies else Reason.PROGRAM_SAME
    return Finding(PROGRAM, reason, {"jax": " and ".join(varies)}, tuple(changes))


def _programs(run: Run | None) -> dict[str, str | int]:
    """Return the hash (16 digits of the SHA-256) of each program and the number of each of its operations."""
    found: dict[str, str | int] = {}
    for program in () if run is None else run.programs:
        name = f"{program.case} {program.function}"
        found[f"{name} sha256"] = program.sha256[:16]
        found |= {f"{name} {operation}": count for operation, count in program.operations.items()}
    return found


def _importance(change: Change) -> tuple[bool, bool, int]:
    """Sort hashes first, then operations that are new or gone, then those whose number changed most."""
    if not isinstance(change.old or change.new, int):
        return False, False, 0
    return True, None not in (change.old, change.new), -abs((change.new or 0) - (change.old or 0))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = dict.fromkeys((*before, *after))
    return [Change(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def _reader(known: Corners) -> Finding:
    """Compare what JAX writes with what TensorFlow reads, and whether the new pair reads what it writes."""
    old, new = known.old, known.new
    wrote = [_first_with("writer", known.having(JAX, pair.jax)) for pair in (old, new)]
    reads = [_reader_limits(known, pair.tensorflow) for pair in (old, new)]
    changes = [
        Change(f"{name} {what}", side[0].get(key), side[1].get(key))
        for key, name in (("stablehlo", "StableHLO"), ("calling_convention", "calling convention"))
        for what, side in (("written", wrote), ("read up to", reads))
    ]
    facts, reason = {}, Reason.READER_UNKNOWN
    if (run := known.run(new)) is not None:
        outcome = cells.outcome(run)
        facts = {"failure": outcome.failure, "evidence": outcome.evidence}
        before = known.runs.get(old)
        if outcome.failure not in REMEDIABLE:
            reason = Reason.READABLE
        elif before is not None and cells.outcome(before).failure == outcome.failure:
            reason = Reason.UNREADABLE_BEFORE
        else:
            reason = Reason.UNREADABLE
    return Finding(READER, reason, facts, tuple(changes))


def _reader_limits(known: Corners, tensorflow: str) -> dict[str, Any]:
    found = _first_with("reader", known.having(TENSORFLOW, tensorflow))
    return vars(Reader(found.get("stablehlo"), found.get("calling_convention")).filled(tensorflow))


def _first_with(key: str, runs: Iterable[Run]) -> Mapping[str, Any]:
    """Return the first entry `key` of the environments of `runs`; empty if none has it."""
    return next(filter(None, (run.environment.get(key) for run in runs)), {})


def _others(known: Corners) -> Iterator[Finding]:
    """Compare the other packages and the Python: the resolver picks others beside other releases."""
    runs = [run for pair in (known.old, known.new) if (run := known.run(pair)) is not None]
    versions = [
        {**run.environment.get("versions", {}), "Python": run.environment.get("machine", {}).get("python")}
        for run in runs
    ]
    changes = _differences(*versions) if len(versions) == 2 else []
    others = tuple(change for change in changes if change.what not in (*PACKAGES, "jaxlib"))
    if others:
        yield Finding(OTHERS, Reason.OTHERS_MOVED, {}, others)
