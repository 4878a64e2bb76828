"""JAX's float32 answer in the oracle's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.probes.seeded_defects._defect import NOTHING, Defect, Setting
from parity.records import IN_ORDER
from parity.runtimes.base import EVALUATION_OF, ORACLE, FixedAnswers
from parity.scoring import compare, rules

if TYPE_CHECKING:
    from parity.probes.declaration import Scope


def _overlooked(setting: Setting) -> str | None:
    subject, reference = setting.subject, setting.subject.reference
    answers = subject.kept(reference.jax, EVALUATION_OF[setting.probe], setting.size)
    wide = {
        probe: {leaf: compare.widen(a) if rules.is_float(a) else a for leaf, a in answer.items()}
        for probe, answer in answers.items()
    }
    other = subject.with_runtimes({reference.oracle: FixedAnswers(subject.runtime(reference.oracle), wide)})
    found = {r.leaf for r in setting.results(other) if r.status not in IN_ORDER}
    own = subject.kept(reference.oracle, EVALUATION_OF[setting.probe], setting.size)[setting.probe]
    several = {
        leaf
        for leaf, a in answers[setting.probe].items()
        if rules.is_float(a) and a.size > 1 and compare.distance(a, own[leaf]).max
    }  # of a table that is an output both are the same
    if not several:
        in_float64 = all(
            compare.widen(a).dtype == a.dtype for a in answers[setting.probe].values() if rules.is_float(a)
        )
        return None if in_float64 else NOTHING  # JAX's own float64 is as good an oracle
    unseen = sorted(several - found)
    return f"an oracle that is JAX's own answer passes for {unseen[0]}" if unseen else None


def _runtimes(scope: Scope) -> list[str]:
    return scope.having(lambda can: can.role == ORACLE)


DEFECT = Defect("false_oracle", _overlooked, _runtimes)
