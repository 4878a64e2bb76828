"""Wrong answers: rows reversed, NaN, a leaf missing, another dtype, the last element off, and the like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from parity.probes.seeded_defects._defect import NOTHING, Defect, Setting, probes_with_defects
from parity.records import IN_ORDER
from parity.runtimes.base import CANDIDATE, FixedAnswers
from parity.scoring import compare, rules
from parity.scoring.rules import Budget

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Array
    from parity.probes.declaration import Scope

LIMITS = 3.0
"""How far the last element of a leaf is moved, in limits."""

Change = Callable[["Answer", Mapping[str, Budget], float], "Answer"]
"""Makes a wrong answer of a right one, its budgets and the limit."""


def _each(change: Callable[[Array], Array]) -> Change:
    return lambda answer, budgets, limit: {leaf: change(array) for leaf, array in answer.items()}


def _floats(change: Callable[[Array], Array]) -> Change:
    return _each(lambda array: change(array) if rules.is_float(array) else array)


def _with_one(value: float) -> Callable[[Array], Array]:
    """Return a change of the element nearest zero, none that is NaN: a zero in its place would be noticed least."""

    def change(array: Array) -> Array:
        changed = np.array(array)
        changed.flat[int(np.where(np.isnan(array), math.inf, np.abs(array)).argmin())] = value
        return changed

    return change


def _other_width(array: Array) -> Array:
    """Return a float in the widest dtype of its kind, or in float32 or complex64 where it has that."""
    wide = compare.widen(array)
    return wide if wide.dtype != array.dtype else array.astype("complex64" if array.dtype.kind == "c" else "float32")


def _half(array: Array) -> Array:
    with np.errstate(over="ignore"):
        return array.real.astype(np.float16)


def _last_element(answer: Answer, budgets: Mapping[str, Budget], limit: float) -> Answer:
    reach = {leaf: LIMITS * limit * budget.max for leaf, budget in budgets.items()}
    return {leaf: _enlarged(array, reach.get(leaf, 1.0)) for leaf, array in answer.items()}


def _enlarged(array: Array, by: float) -> Array:
    """Return `array` with its last element larger by `by`, or by one ulp where `by` is too little to be stored.

    Integers and truth values differ in their lowest bit; what is not finite becomes zero.
    """
    changed, last = np.array(array), (-1,) * array.ndim
    value = array[last]
    if not rules.is_float(array):
        changed[last] = value ^ array.dtype.type(1)
        return changed
    if not np.isfinite(value):
        changed[last] = 0
        return changed
    changed[last] = (compare.widen(value) + by).astype(array.dtype)
    if changed[last] == value:
        up = np.nextafter(value.real, value.real.dtype.type(math.inf))
        changed[last] = up + 1j * value.imag if array.dtype.kind == "c" else up
    return changed


CHANGES: dict[str, Change] = {
    "reversed_rows": _each(lambda array: array[::-1] if array.ndim else array),
    "nan": _floats(_with_one(math.nan)),
    "infinity": _floats(_with_one(math.inf)),
    "dropped_leaf": lambda answer, budgets, limit: dict(list(answer.items())[:-1]),
    "empty_answer": lambda answer, budgets, limit: {},
    "float64_answer": _floats(_other_width),
    "float16_answer": _floats(_half),
    "last_element": _last_element,
}
"""By name, what becomes of a runtime's answer. Every leaf that differs must be found out of order; of reversed rows one
leaf, because another may have equal rows."""


def _overlooked(name: str) -> Callable[[Setting], str | None]:
    def overlooked(setting: Setting) -> str | None:
        right, subject, runtime = setting.answers(), setting.subject, setting.place.runtime
        wrong = CHANGES[name](right[setting.probe], setting.budgets(), subject.limit_of(setting.probe))
        changed = [leaf for leaf, array in right[setting.probe].items() if not _same(array, wrong.get(leaf))]
        if not changed:
            return NOTHING
        answers = {**right, setting.probe: wrong}
        defective = subject.with_runtimes({runtime: FixedAnswers(subject.runtime(runtime), answers)})
        found = {r.leaf for r in setting.results(defective) if r.status not in IN_ORDER}
        unseen = [leaf for leaf in changed if leaf not in found]
        if not unseen or (name == "reversed_rows" and len(unseen) < len(changed)):
            return None
        return f"{name} is not seen in {unseen[0]}"

    return overlooked


def _same(one: Array, other: Array | None) -> bool:
    alike = other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)
    return alike and other is not None and one.tobytes() == other.tobytes()


def _runtimes(scope: Scope) -> list[str]:
    """Return one candidate: the reader of the artifact if it is selected, else the first that can have a defect."""
    candidates = scope.reader or scope.having(lambda can: can.role == CANDIDATE)
    return [name for name in candidates if probes_with_defects(scope.case.probes, scope.can(name))][:1]


DISCRETE = ("dropped_leaf", "empty_answer", "last_element")
"""The changes that every answer can have; rows of integers may all be equal, and then their order says nothing."""

DEFECTS = tuple(Defect(name, _overlooked(name), _runtimes, needs_floats=name not in DISCRETE) for name in CHANGES)
