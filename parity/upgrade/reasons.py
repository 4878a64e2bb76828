"""Reason codes of an upgrade: one table gives what each code means and its sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

UPGRADE, CONVERTED, PROGRAM, READER, OTHERS = "upgrade", "converted", "program", "reader", "others"
"""Sides of a finding beside `jax` and `tensorflow`: the upgrade as a whole; TensorFlow's answers to what another jax
exports; the exported programs; the reader of StableHLO; the packages that the resolver picked."""


class Reason(Enum):
    """By code: whether the side moved (None: unknown, or not about a side), and the sentence, filled with facts."""

    NOTHING_BROKE = False, "Nothing broke: {new} passes as exported by default."
    GATE_BLOCKS = None, "Unknown: {new} passes as exported by default, and the gate blocks it."
    BROKEN_BEFORE = False, "Broken before and after: {new} is {outcome}; {old} is {old_outcome}."
    JAX_MOVED = True, "The new jax breaks it: {new} is {outcome}."
    TENSORFLOW_MOVED = True, "The new tensorflow breaks it: {new} is {outcome}."
    BOTH = True, "Each of the two upgrades breaks it alone: {new} is {outcome}."
    INTERACTION = True, "Only both upgrades together break it: {new} is {outcome}."
    NO_INSTALL = None, "Unknown: {new} cannot be installed together."
    NO_RECORD = None, "Unknown: {new} has no record."
    UNDECIDED = None, "{new} is {outcome}. Which side breaks it is unknown: no answer from {corners}."
    SAME_RELEASE = False, "{side} is {old} on both sides."
    SCORES_MOVED = True, "{side}: scores moved from {old} to {new}."
    SCORES_SAME = False, "{side}: scores did not move from {old} to {new}."
    NO_SCORES = None, "{side}: scores of {old} and {new} cannot be compared."
    CHECKS_FAIL = True, "{side}: with {new} these probes fail: {probes}."
    BUDGET_MOVED = False, "{side}: budgets moved from {old} to {new}, the distance from the oracle did not."
    PROGRAM_MOVED = True, "The exported programs differ."
    PROGRAM_MOVED_ALONE = True, "The exported programs differ, and no score moved with them."
    PROGRAM_VARIES = True, "The exported programs differ only between tensorflow releases, with jax {jax}."
    PROGRAM_SAME = False, "The exported programs are identical."
    NO_PROGRAMS = None, "The exported programs are unknown: no record with jax {jax} has them."
    READABLE = False, "TensorFlow reads the exported programs."
    UNREADABLE = True, "TensorFlow cannot read {evidence} ({failure})."
    UNREADABLE_BEFORE = False, "TensorFlow cannot read {evidence} ({failure}), in the old pair as in the new one."
    READER_UNKNOWN = None, "It is unknown whether TensorFlow reads the exported programs."
    OTHERS_MOVED = True, "Other packages moved too."
    REMEDY = None, "{new} ran {checks} checks with the remedy; {failed} failed. Worst score {worst}, limit {limit}."
    NO_REMEDY = None, "No remedy is known for {failure}."
    ALTERNATIVE = None, "{pair} is the newest pair in between that needs no remedy (worst score {worst})."
    ONLY_OLD = None, "No pair in between that is newer than {old} is known to need no remedy."
    NO_ALTERNATIVE = None, "No pair in between is known to need no remedy."
    PYTHON_NAMED = None, "Python {python}, as given."
    PYTHON_RECORDED = None, "Python {python}: every pair is recorded on it."
    PYTHON_INSTALLS = None, "Python {python}: it can install every pair; {recorded} of {pairs} are recorded on it."
    PYTHON_INSTALLS_MOST = None, "Python {python}: it can install {installable} of {pairs} pairs, and no other more."
    PYTHON_ONLY = None, "Python {python}: no other has a record."
    PYTHONS_RECORDED = None, "Python {python}: the pairs are recorded on several Pythons."
    NOTHING_RECORDED = None, "Nothing is recorded."

    @property
    def code(self) -> str:
        """The code as it is in JSON, such as `jax_moved`."""
        return self.name.lower()


def _text(value: Any) -> str:
    return "absent" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Change:
    """One quantity in the old and the new record, with the release that both share in `beside`."""

    what: str
    old: Any
    new: Any
    beside: str = ""

    def __str__(self) -> str:
        old, new = (_text(value) for value in (self.old, self.new))
        return f"{self.what} {old}{f' -> {new}' * (old != new)}{f' beside {self.beside}' * bool(self.beside)}"


@dataclass(frozen=True)
class Finding:
    """A reason code about one side, with the facts that its sentence names and the changes behind it."""

    side: str
    reason: Reason
    facts: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def moved(self) -> bool | None:
        """Whether the side moved; None where the records do not tell."""
        return self.reason.value[0]

    @property
    def sentence(self) -> str:
        """The sentence of the reason code."""
        return self.reason.value[1].format(**{"side": self.side, **self.facts})
