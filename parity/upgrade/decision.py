"""Decide an upgrade: the records of the four corners, the gate's verdict, who moved, and what unblocks it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from parity import gate, records
from parity.compat.handshake import remedy_code
from parity.core.errors import NotComparableError, UsageError
from parity.core.text import one_line
from parity.gate import Side, Verdict
from parity.gate.verdict import STAY, UPGRADE
from parity.records import PASS, REMEDIED
from parity.records.atlas import score
from parity.upgrade.alternatives import Alternatives, find_alternatives
from parity.upgrade.attribution import Corners, attribute
from parity.upgrade.pairs import Pair, corners, parse_pin
from parity.upgrade.reasons import Finding, Reason
from parity.upgrade.runner import CellRecord, CellRunner, choose_python


@dataclass(frozen=True)
class Proof:
    """The remedy of the new pair, and the checks that ran with it: their number, and the score nearest its limit."""

    requirement: str
    checks: int
    not_in_order: int
    worst_score: float | None
    limit: float | None

    @property
    def code(self) -> str | None:
        """The remedy as code to paste; None if the record names something else than one release."""
        try:
            return remedy_code("==".join(parse_pin(self.requirement)))
        except UsageError:
            return None


@dataclass(frozen=True)
class Upgrade:
    """The answer to one upgrade.

    Attributes:
        old: the pair to upgrade from.
        new: the pair to upgrade to.
        corners: the record of each corner; None where nothing is recorded.
        verdict: the gate's; None if it cannot compare, for the reason `incomparable`.
        incomparable: empty if there is a verdict.
        findings: who moved, one for each side.
        proof: the remedy of the new pair, if it has one.
        alternatives: pairs in between; None if nothing has to be unblocked.
        python: which Python the records are of, and why.
        made: the names of the cells that were run.
    """

    old: Pair
    new: Pair
    corners: dict[str, CellRecord | None]
    verdict: Verdict | None
    incomparable: str
    findings: list[Finding]
    proof: Proof | None
    alternatives: Alternatives | None
    python: Finding
    made: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """That of the gate."""
        return NotComparableError.exit_code if self.verdict is None else self.verdict.exit_code

    @property
    def advice(self) -> list[Finding]:
        """What unblocks the upgrade, as reason codes."""
        new, found = self.corners["new/new"], []
        if self.proof is not None:
            facts = {"new": str(self.new), "checks": self.proof.checks, "failed": self.proof.not_in_order}
            facts |= {"worst": score(self.proof.worst_score), "limit": score(self.proof.limit)}
            found.append(Finding("advice", Reason.REMEDY, facts))
        elif self.alternatives is not None and new is not None and new.outcome.status != REMEDIED:
            found.append(Finding("advice", Reason.NO_REMEDY, {"failure": new.outcome.failure or "the new pair"}))
        return [*found, *([] if self.alternatives is None else [self.alternatives.finding])]


def decide(
    old: Pair, new: Pair, runner: CellRunner, policy: Path | None, only: str | None = None, recorded: bool = False
) -> Upgrade:
    """Compare two pairs at their four corners; run the cells whose records are absent or out of date.

    Args:
        old: the pair to upgrade from.
        new: the pair to upgrade to.
        runner: finds and makes the records.
        policy: the gate's; the package's if None.
        only: the Python to use, such as `3.12`.
        recorded: run nothing, and accept records that are out of date.

    Raises:
        ParityError: the pairs, the policy, a record or the Python cannot be used, or a cell could not be run.
    """
    named, rules = corners(old, new), gate.load_policy(policy)
    found, python = _records(list(dict.fromkeys(named.values())), runner, only, recorded)
    verdict, incomparable = _verdict(found.get(old), found.get(new), rules)
    blocked = verdict is not None and verdict.decision == STAY
    runs = {pair: record.run for pair, record in found.items()}
    findings = attribute(Corners(old, new, runs, rules.drift.score, rules.drift.floor), blocked)
    # Where one package stays, the mixed corners are the pairs themselves.
    shown = {name: pair for name, pair in named.items() if pair not in (old, new) or name in ("old/old", "new/new")}
    alternatives = None
    passes = new in found and found[new].outcome.status == PASS
    if not passes or verdict is None or verdict.decision != UPGRADE:
        on = found[new].cell.python if new in found else None
        on = on or f"{sys.version_info.major}.{sys.version_info.minor}"
        alternatives = find_alternatives(old, new, runner, on, blocked)
    return Upgrade(
        old, new, {name: found.get(pair) for name, pair in shown.items()}, verdict, incomparable, findings,
        _proof(found.get(new)), alternatives, python, tuple(runner.made),
    )  # fmt: skip


def _records(
    pairs: list[Pair], runner: CellRunner, only: str | None, recorded: bool
) -> tuple[dict[Pair, CellRecord], Finding]:
    """Return a record of every pair, on one Python if possible, and a finding about that Python."""
    found = {
        pair: [r for r in runner.find(pair) if (r.current or recorded) and only in (None, r.cell.python)]
        for pair in pairs
    }
    shared = set.intersection(*({r.cell.python for r in records} for records in found.values()))
    if not shared and (recorded or all(found.values())):
        best = {pair: records[0] for pair, records in found.items() if records}
        return best, _pythons(best)
    python, why = choose_python(pairs, found, only, runner.required)
    best = {pair: next((r for r in rs if r.cell.python == python), rs[0]) for pair, rs in found.items() if rs}
    absent = [pair for pair in pairs if pair not in best]
    if absent:
        names = ", ".join(pair.cell(python) for pair in absent)
        runner.show(f"Running {names}. Each takes minutes. {why.sentence}")
        best |= runner.run(absent, python)
    return best, why if {record.cell.python for record in best.values()} == {python} else _pythons(best)


def _pythons(best: dict[Pair, CellRecord]) -> Finding:
    pythons = sorted({str(record.cell.python) for record in best.values()}, key=Version)
    reason = (Reason.NOTHING_RECORDED, Reason.PYTHON_ONLY, Reason.PYTHONS_RECORDED)[min(len(pythons), 2)]
    return Finding("python", reason, {"python": " and ".join(pythons)})


def _verdict(old: CellRecord | None, new: CellRecord | None, rules: gate.Policy) -> tuple[Verdict | None, str]:
    if old is None or new is None:
        return None, f"the {'old' if old is None else 'new'} pair has no record"
    try:
        return gate.judge(_side(old), _side(new), rules.with_downgrade()), ""
    except NotComparableError as error:
        return None, str(error)


def _side(record: CellRecord) -> Side:
    """Return the record as the gate reads it, with the known issues applied as everywhere else in the answer."""
    return gate.from_run(record.run, one_line(str(record.folder / "run.json"), 400))


def _proof(new: CellRecord | None) -> Proof | None:
    """Return the remedy of the new pair and the checks that ran with it; None if there is no remedy."""
    if new is None or not new.run.remedies:
        return None
    remedy = new.run.remedies[0]
    checks = [c for c in new.run.checks if c.case == remedy.case and c.tf_device != records.NO_DEVICE]
    failed = sum(c.status not in records.IN_ORDER for c in checks)
    scored = [(float(c.score), float(c.limit)) for c in checks if c.score is not None and c.limit is not None]
    worst, limit = max(scored, key=lambda pair: pair[0] / (pair[1] or 1.0), default=(None, None))
    count = sum(c.status == REMEDIED for c in checks) + failed
    return Proof(remedy.requirement, count, failed, worst, limit)
