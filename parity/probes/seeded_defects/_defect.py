"""What a seeded defect is, and where it is put."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parity.probes.evaluation import Place, score
from parity.records import FAIL, IN_ORDER, PASS
from parity.runtimes.base import CANDIDATE, DERIVED, EVALUATION_OF, FixedAnswers
from parity.scoring import rules
from parity.scoring.rules import LeafResult

if TYPE_CHECKING:
    from parity.probes.declaration import Scope
    from parity.runtimes.base import Answers, Capabilities
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
        """Return the results of the probe, of `subject` where another answers for this one; that one is then empty."""
        try:
            return score(subject or self.subject, self.probe, self.place, self.size)
        finally:
            if subject is not None:
                subject.release()

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


def seeded_defect(
    subject: Subject, probe: str, runtime: Place, size: int, change: Callable[[Answers], Answers]
) -> list[LeafResult]:
    """Return whether a probe finds a defect that is planted in the answers of a runtime: it fails where it does not.

    Args:
        subject: the case under test, the fixture `subject`.
        probe: the name of the probe, such as one that is derived from the answers.
        runtime: where the defect is planted, the fixture `runtime`.
        size: the batch size.
        change: takes the runtime's own answers, numpy arrays by probe and leaf, and returns wrong ones. It must not
            write to the arrays. Its name is that of the defect.

    Returns:
        One result for `record`. It passes where the runtime is JAX or the oracle: the defect is planted in the others,
        which are compared with them.

    Raises:
        ParityError: a runtime failed, or the answer cannot be derived from the wrong ones.
    """
    name = getattr(change, "__name__", "change")
    leaf = f"seeded_defect/{name}"
    if runtime.role != CANDIDATE:
        why = f"planted in what is compared with {runtime.runtime} alone"
        return [LeafResult(leaf, PASS, message=why)]
    setting = Setting(subject, runtime, probe, size)
    setting.budgets()  # before the defect is there, which could enter them
    derived = DERIVED.get(EVALUATION_OF[probe], {})
    own = {name: answer for name, answer in setting.answers().items() if name not in derived}
    wrong = FixedAnswers(subject.runtime(runtime.runtime), change(own))
    results = setting.results(subject.with_runtimes({runtime.runtime: wrong}))
    found = any(result.status not in IN_ORDER for result in results)
    return [rules.pass_or_fail(leaf, None if found else f"blind: {name} is not seen in {probe}")]


def probes_with_defects(probes: Sequence[str], can: Capabilities) -> list[str]:
    """Return those of `PROBES` that are among `probes` and answered by a runtime; else all such that have a budget."""
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
    for probe in probes_with_defects(subject.case.probes, subject.capabilities(place.runtime)):
        setting = Setting(subject, place, probe, size)
        setting.budgets()  # before the defect is there, which could enter them
        overlooked[probe] = defect.overlooked(setting)
    if all(text == NOTHING for text in overlooked.values()):
        return LeafResult(defect.name, FAIL, message=f"blind: {NOTHING}")
    blind = [f"{text}, in {probe}" for probe, text in overlooked.items() if text not in (None, NOTHING)]
    return LeafResult(defect.name, FAIL, message=f"blind: {blind[0]}") if blind else LeafResult(defect.name, PASS)
