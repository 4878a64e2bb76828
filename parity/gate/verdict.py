"""What the gate says: findings, groups of them in one sentence each, and the decision."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from parity.core.text import one_line

BLOCK, WARN, NOTE = "block", "warn", "note"
LEVELS = (BLOCK, WARN, NOTE)

UPGRADE = "may upgrade"
WITH_REMEDY = "may upgrade with remedy"
STAY = "do not upgrade"

INCOMPLETE, CRASH, TIMEOUT, ERROR, MISSING = "incomplete", "crash", "timeout", "error", "missing"
WORSE, OVER, POWERLESS, FIXED, LIMIT = "worse", "over the limit", "powerless", "fixed", "limit raised"
UNMEASURED, NEW_BAD = "not measured", "new and not in order"
REMEDIED, DRIFT, BITS, BUDGET, POWER = "remedied", "drift", "bits", "budget", "power"
DEPRECATION, LATENCY, FOOTPRINT = "deprecation", "latency", "footprint"
SWAPPED, OLDER, UNORDERED, LEVEL = "swapped", "partly older", "unordered", "level"
MODE, STILL, REPAIRED, LISTED, NEW = "mode", "still failing", "repaired", "listed", "new"
KINDS = (
    INCOMPLETE, LEVEL, SWAPPED, CRASH, TIMEOUT, ERROR, MISSING, WORSE, OVER, POWERLESS, FIXED, LIMIT, UNMEASURED,
    NEW_BAD, REMEDIED, DRIFT, BITS, BUDGET, POWER, DEPRECATION, LATENCY, FOOTPRINT, OLDER, UNORDERED, MODE, STILL,
    REPAIRED, LISTED, NEW,
)  # fmt: skip
"""The most telling first: in this order they are shown."""


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One difference, or one thing out of order.

    `noun` is what it is about (`check`, `budget`, …; empty for the run as a whole), `what` happened to it, said alike
    of one and of many, `detail` is its own; `worst` sorts the worst first, and `excuse` is why the policy lets a
    finding that would block only warn.
    """

    level: str
    kind: str
    noun: str
    what: str
    item: str = ""
    leaf: str = ""
    case: str = ""
    probe: str = ""
    runtime: str = ""
    detail: str = ""
    worst: float = 0.0
    excuse: str = ""

    @property
    def sentence(self) -> str:
        """The finding in one line that is safe to print."""
        return _sentence([self])

    @property
    def name(self) -> str:
        """What it is about, safe to print."""
        leaf = "" if self.leaf == "*" else self.leaf
        return " of ".join(one_line(name) for name in (leaf, self.item) if name)


class Group(msgspec.Struct, frozen=True, gc=False):
    """Findings of one level, kind, case, runtime and wording: `count` of them, in one sentence."""

    level: str
    kind: str
    count: int
    sentence: str
    case: str = ""
    runtime: str = ""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The decision, why, and everything that was found, the worst first.

    `baseline` and `candidate` are names of cells, `compared` is how many checks both have.
    """

    decision: str
    sentence: str
    findings: list[Finding]
    groups: list[Group]
    baseline: str
    candidate: str
    compared: int

    @property
    def exit_code(self) -> int:
        """1 where the gate blocks, 0 otherwise."""
        return int(self.decision == STAY)

    def count(self, level: str) -> int:
        """Return how many findings have that level."""
        return sum(group.count for group in self.groups if group.level == level)


def order(finding: Finding) -> tuple[object, ...]:
    """Sorts findings: by level, by kind, the worst first, then by name."""
    of = finding
    level, kind = LEVELS.index(of.level), KINDS.index(of.kind)
    return level, kind, -of.worst, of.case, of.runtime, of.probe, of.item, of.leaf, of.what, of.detail


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Return groups of sorted findings, in the order of their worst."""
    found: dict[tuple[str, ...], list[Finding]] = {}
    for of in findings:
        found.setdefault((of.level, of.kind, of.noun, of.what, of.case, of.runtime, of.excuse), []).append(of)
    return [
        Group(mine[0].level, mine[0].kind, len(mine), _sentence(mine), mine[0].case, mine[0].runtime)
        for mine in found.values()
    ]


def _sentence(findings: list[Finding]) -> str:
    """Return one sentence for findings that differ only in item, leaf and detail; the first is the example."""
    first = findings[0]
    excuse = f" (advisory: {one_line(first.excuse)})" if first.excuse else ""
    detail = one_line(first.detail, 240).rstrip(".")
    if not first.noun:
        text = f"{': '.join(filter(None, (first.what, detail)))}{excuse}"
        return text if text.endswith("?") else f"{text}."
    many = len(findings) > 1
    subject = f"{len(findings):,} {first.noun}{'s' * many}"
    subject += "".join(
        f" {word} {one_line(name)}" for word, name in (("of", first.case), ("on", first.runtime)) if name
    )
    example = ": ".join(filter(None, (first.name, detail)))
    such_as = example and f"{', such as' if many else ':'} {example}"
    return f"{subject} {first.what}{such_as}{excuse}."
