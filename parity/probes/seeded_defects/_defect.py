"""What a seeded defect is, and where it is put."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parity.probes.evaluation import Place, score
from parity.records import FAIL, PASS
from parity.runtimes import registry
from parity.runtimes.base import EVALUATION_OF
from parity.scoring import rules
from parity.scoring.rules import LeafResult

if TYPE_CHECKING:
    from parity.probes.declaration import Scope
    from parity.runtimes.base import Answers
    from parity.runtimes.subject import Subject
    from parity.scoring.rules import Budget

PROBES = ("predict", "eval_gradient")
"""The probes whose answers get defects: one that is served, one with many leaves."""

NOTHING = "no leaf can have this defect"


@dataclass(frozen=True)
class Setting:
    """Where a defect is put: into a runtime's answer to a probe, at a batch size."""

    subject: Subject
    place: Place
    probe: str
    size: int

    def results(self, subject: Subject | None = None) -> list[LeafResult]:
        """Return the results of the probe, of `subject` where another answers for this one."""
        return score(subject or self.subject, self.probe, self.place, self.size)

    def answers(self) -> Answers:
        """Return the runtime's own answers."""
        subject, evaluation = self.subject, EVALUATION_OF[self.probe]
        return subject.evaluate(self.place.runtime, evaluation, subject.batch(self.size), self.place.device)

    def budgets(self) -> dict[str, Budget]:
        """Return the budgets of the probe."""
        return self.subject.budgets(EVALUATION_OF[self.probe], self.size)[self.probe]


@dataclass(frozen=True)
class Defect:
    """A defect.

    Attributes:
        name: in plan items.
        overlooked: seeds the defect in a setting; returns what was not found, in words; None if it was found, `NOTHING`
            where no leaf can have it.
        runtimes: the selected runtimes that it is seeded in.
        needs_floats: whether it needs an answer with a float.
    """

    name: str
    overlooked: Callable[[Setting], str | None]
    runtimes: Callable[[Scope], Iterable[str]]
    needs_floats: bool = True


def probes_with_defects(probes: Sequence[str], runtime: str) -> list[str]:
    """Return those of `PROBES` that are among `probes` and answered by `runtime`; else all such that have a budget."""
    can = registry.require(runtime).capabilities
    with_budgets = [
        probe for probe in probes if probe not in (rules.ACCURACY, "rng") and can.answers(probe, EVALUATION_OF[probe])
    ]
    return [probe for probe in PROBES if probe in with_budgets] or with_budgets


def result(defect: Defect, subject: Subject, place: Place, size: int) -> LeafResult:
    """Return whether the run finds the defect.

    Raises:
        ParityError: a runtime failed.
    """
    overlooked = {}
    for probe in probes_with_defects(subject.case.probes, place.runtime):
        setting = Setting(subject, place, probe, size)
        setting.budgets()  # before the defect is there, which could enter them
        overlooked[probe] = defect.overlooked(setting)
    if all(text == NOTHING for text in overlooked.values()):
        return LeafResult(defect.name, FAIL, message=f"blind: {NOTHING}")
    blind = [f"{text}, in {probe}" for probe, text in overlooked.items() if text not in (None, NOTHING)]
    return LeafResult(defect.name, FAIL, message=f"blind: {blind[0]}") if blind else LeafResult(defect.name, PASS)
