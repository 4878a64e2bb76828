"""Whose distance from the oracle moved: JAX's, TensorFlow's, or TensorFlow's on what another jax exports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parity.records import IN_ORDER, NO_DEVICE, Check, Run
from parity.upgrade.corners import CONVERTED, Corners, Growth, Moved
from parity.upgrade.pins import JAX, TENSORFLOW

_OPERATIONS = "operations"
_SHOWN = 3


def of_jax(known: Corners) -> Moved:
    """JAX's own distance from the oracle, with the old jax and with the new."""
    old, new = known.old.jax, known.new.jax
    if old == new:
        return Moved(JAX, False, f"jax is {old} on both sides.")
    before, after = (next(iter(known.with_jax(jax)), None) for jax in (old, new))
    if before is None or after is None:
        lacking = old if before is None else new
        return Moved(JAX, None, f"jax's numbers are not known: no record with jax {lacking} has its scores.")
    broke = sorted(_broken(after, _of_jax) - _broken(before, _of_jax))
    scores = _scores(before, _of_jax), _scores(after, _of_jax)
    change = _largest(*scores, known.growth)
    if broke:
        said = f"{', '.join(broke[:_SHOWN])} on JAX alone {'is' if len(broke) == 1 else 'are'} not in order any more"
        return Moved(JAX, True, f"jax moved: {said}.")
    if change is None:
        return Moved(JAX, None, "jax's numbers are not known: nothing that both asked was scored.")
    return Moved(JAX, change.moved, _numbers(JAX, change, f"with jax {old}", f"with {new}", len(scores[1])))


def of_tensorflow(known: Corners) -> Moved:
    """TensorFlow's distance from the oracle, with the old and the new one beside the same jax."""
    old, new = known.old.tensorflow, known.new.tensorflow
    if old == new:
        return Moved(TENSORFLOW, False, f"tensorflow is {old} on both sides.")
    said, moved = [], []
    for jax in dict.fromkeys((known.old.jax, known.new.jax)):
        before, after = known.run(jax, old), known.run(jax, new)
        if before is None or after is None:
            continue
        change = _largest(_scores(before, _of_tensorflow), _scores(after, _of_tensorflow), known.growth)
        over = sorted(_over(after) - _over(before))
        if change is None and not over:
            continue
        moved.append(bool(over) or (change is not None and change.moved))
        numbers = f"{', '.join(over[:_SHOWN])} over the limit" if over else ""
        if change is not None:
            numbers = "; ".join(filter(None, (numbers, change.said(f"with {old}", f"with {new}"))))
        said.append(f"beside jax {jax} {numbers}")
    if not said:
        return Moved(TENSORFLOW, None, "tensorflow's numbers are not known: beside no jax did both answer.")
    verb = "tensorflow moved" if any(moved) else "tensorflow's numbers did not move"
    return Moved(TENSORFLOW, any(moved), f"{verb}: {', and '.join(said)}, against the oracle.")


def of_converted(known: Corners) -> Moved | None:
    """TensorFlow's distance from the oracle on what the old jax exports and the new, on the same tensorflow.

    A score may change without the distance: another jax trains another model, and sets it other budgets.
    """
    old, new = known.old.jax, known.new.jax
    if old == new:
        return None
    both = [
        (beside, before, after)
        for beside in dict.fromkeys((known.new.tensorflow, known.old.tensorflow))
        if (before := known.run(old, beside)) is not None and (after := known.run(new, beside)) is not None
    ]
    found = [
        (change, f"on tensorflow {beside}", before, after)
        for beside, before, after in both
        for change in _changes(_scores(before, _of_tensorflow), _scores(after, _of_tensorflow), known.growth)
    ]
    if not found:
        said = "What TensorFlow makes of the new program is not known: on no release of it were both answered."
        return Moved(CONVERTED, None, said)
    found.sort(key=lambda one: -one[0].factor)
    told = [_of_leaf(known, *one) for one in found if one[0].moved]
    if told:
        return next((one for one in told if one.moved), told[0])
    change, where, *_ = found[0]
    said = change.said(f"on what jax {old} exports", f"on what {new} does")
    return Moved(CONVERTED, False, f"What TensorFlow makes of the new program did not move: {said}, {where}.")


def _of_leaf(known: Corners, change: Change, where: str, before: Run, after: Run) -> Moved:
    """Whether the distance of the leaf whose score changed moved, or only its budget."""
    made = "What TensorFlow makes of the new program moved"
    on = f"on what jax {known.old.jax} exports", f"on what {known.new.jax} does"
    leaf = _same_leaf(change, before, after)
    if leaf is None:
        return Moved(CONVERTED, True, f"{made}: {change.said(*on)}, {where}, and has other leaves.")
    one, two = leaf
    scores = f"{two.probe} {two.leaf} scores {one.score:.3g} {on[0]} and {two.score:.3g} {on[1]}, {where}"
    was, now = _budget(before, one), _budget(after, two)
    if was is None or now is None:
        return Moved(CONVERTED, True, f"{made}: {scores}.")
    distances = [(one.score or 0.0) * was, (two.score or 0.0) * now]
    moved = not max(distances) <= known.growth.score * min(distances)
    return Moved(CONVERTED, moved, (
        f"{made if moved else 'The budgets moved with the new jax, and TensorFlow did not'}: {scores}; the budget of "
        f"that went from {was:.2g} to {now:.2g}, its distance from {distances[0]:.2g} to {distances[1]:.2g}."
    ))  # fmt: skip


def _same_leaf(change: Change, before: Run, after: Run) -> tuple[Check, Check] | None:
    """The check with the worst score of the probe, on the side where that is higher, and the same on the other."""
    higher, lower = (before, after) if change.before > change.after else (after, before)

    def checks(run: Run) -> dict[tuple[str, str], Check]:
        mine = (c for c in run.checks if c.probe == change.probe and c.score is not None and _of_tensorflow(c))
        return {(check.item, check.leaf): check for check in mine}

    high, low = checks(higher), checks(lower)
    worst = max(high.keys() & low.keys(), key=lambda key: high[key].score or 0.0, default=None)
    if worst is None:
        return None
    return (high[worst], low[worst]) if higher is before else (low[worst], high[worst])


def _budget(run: Run, check: Check) -> float | None:
    """The RMS error that the leaf of `check` may have."""
    key = (check.case, check.probe, check.batch_size, check.leaf)
    return next((b.rms for b in run.budgets if (b.case, b.probe, b.batch_size, b.leaf) == key), None)


@dataclass(frozen=True)
class Change:
    """The probe whose worst score changed most, and by which factor, up or down."""

    probe: str
    before: float
    after: float
    factor: float
    moved: bool

    def said(self, old: str, new: str) -> str:
        """The change in words."""
        verb = "scores" if self.moved else "changed most, and scores"
        return f"{self.probe} {verb} {self.before:.3g} {old} and {self.after:.3g} {new}"


def _numbers(side: str, change: Change, old: str, new: str, probes: int) -> str:
    head = f"{side} moved" if change.moved else f"{side}'s numbers did not move"
    return f"{head}: of {probes} probe{'s' * (probes != 1)} {change.said(old, new)}, against the oracle."


def _largest(before: Mapping[str, float], after: Mapping[str, float], growth: Growth) -> Change | None:
    """The largest change of a worst score, up or down; None where no probe is in both."""
    return max(_changes(before, after, growth), key=lambda change: change.factor, default=None)


def _changes(before: Mapping[str, float], after: Mapping[str, float], growth: Growth) -> list[Change]:
    """The change of the worst score of every probe that is in both."""

    def factor(probe: str) -> float:
        one, two = (max(scores[probe], growth.floor) for scores in (before, after))
        return 1.0 if one == two else max(one, two) / min(one, two)

    both = {probe: factor(probe) for probe in after if probe in before}
    return [Change(probe, before[probe], after[probe], by, by > growth.score) for probe, by in both.items()]


def _scores(run: Run, chosen: Callable[[Check], bool]) -> dict[str, float]:
    """The worst score of every probe; what is not a number is infinitely bad."""
    worst: dict[str, float] = {}
    for check in run.checks:
        if check.score is not None and chosen(check) and not check.item.startswith("test_power"):
            score = math.inf if math.isnan(check.score) else check.score
            worst[check.probe] = max(worst.get(check.probe, 0.0), score)
    return worst


def _of_jax(check: Check) -> bool:
    return check.runtime == JAX


def _of_tensorflow(check: Check) -> bool:
    return check.tf_device != NO_DEVICE and check.case != _OPERATIONS


def _broken(run: Run, chosen: Callable[[Check], bool]) -> set[str]:
    """The probes of checks that are not in order."""
    return {c.probe for c in run.checks if c.status not in IN_ORDER and chosen(c) and c.tf_device == NO_DEVICE}


def _over(run: Run) -> set[str]:
    """The probes that TensorFlow answered, and not well enough."""
    return {c.probe for c in run.checks if c.score is not None and c.status not in IN_ORDER and _of_tensorflow(c)}
