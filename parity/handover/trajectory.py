"""Compare a training that went on elsewhere with the reference trajectory, at every step and every stage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from parity.cases.specs import Answer, Batch
from parity.core.errors import CaseError, ParityError
from parity.handover import GRADIENT, LOSS, PARAMETERS, STAGES, stage
from parity.handover.reference import ExpectedStep, ReferenceTrajectory
from parity.records import FAIL, PASS
from parity.scoring import kinks, rules
from parity.scoring.compare import distance
from parity.scoring.rules import POWERLESS, LeafResult

INTERRUPTED_AFTER = 3
"""Steps before training is interrupted, and as many after it; half of what there is, if fewer."""


class Trainer(Protocol):
    """A training that takes one step at a time; see `continuing.Continuation`."""

    def step(self, batch: Batch) -> Answer:
        """Take a step; return everything that it computes and leaves behind, by leaf."""


@dataclass(frozen=True)
class Deviation:
    """Where a trajectory first exceeded its budget: the step, counted from the start of training, and the leaf."""

    step: int
    result: LeafResult

    @property
    def stage(self) -> str:
        """The first stage that is off at that step."""
        return stage(self.result.leaf)


@dataclass
class TrajectoryResult:
    """How one training compares with the reference.

    Attributes:
        worst: the worst result of every leaf, up to the deviation; later ones are consequences.
        deviation: where it first exceeded its budget; None if it never did.
        kink: the step from which nothing is compared, because its gradients lawfully lie beyond a kink; None without.
        steps: the steps taken, counted from the start of training.
        losses: the loss of each.
        scores: by stage, the highest score at each step that was compared.
    """

    worst: dict[str, LeafResult] = field(default_factory=dict)
    deviation: Deviation | None = None
    kink: int | None = None
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})

    def add(self, answer: Answer, expected: ExpectedStep, reference: ReferenceTrajectory) -> None:
        """Compare one more step."""
        self.steps.append(expected.number)
        self.losses.append(float(answer[LOSS]))
        if self.kink is not None:
            return
        answer = expected.comparable(answer)
        found = rules.judge(answer, expected.jax, expected.oracle, expected.budgets, reference.limit)
        if self.deviation is None and _lies_beyond_kink(answer, found, expected, reference):
            self.kink = expected.number
            return
        for name in STAGES:
            self.scores[name].append(max((_score(j) for j in found if stage(j.leaf) == name), default=0.0))
        if self.deviation is not None:
            return
        failed = sorted((j for j in found if j.status != PASS), key=lambda j: (_place(j.leaf), -_score(j)))
        self.deviation = Deviation(expected.number, failed[0]) if failed else None
        for result in found:
            before = self.worst.get(result.leaf)
            if before is None or result.status != PASS or _score(before) < _score(result):
                message = result.message and f"at step {expected.number}: {result.message}"
                self.worst[result.leaf] = replace(result, message=message)

    def results(self) -> list[LeafResult]:
        """Return one result for the whole trajectory, which names the deviation, then the worst of every leaf."""
        return [self._whole(), *sorted(self.worst.values(), key=lambda j: _place(j.leaf))]

    def by_stage(self) -> list[LeafResult]:
        """Return one result for the whole trajectory, then the worst of every stage, named after it."""
        stages = [[j for j in self.worst.values() if stage(j.leaf) == name] for name in STAGES]
        worst = (max(found, key=lambda j: (j.status != PASS, _score(j))) for found in stages if found)
        return [self._whole(), *(rules.renamed(j, stage(j.leaf)) for j in worst)]

    def _whole(self) -> LeafResult:
        if (off := self.deviation) is not None:
            message = (
                f"deviates from JAX at step {off.step}, {off.step - self.steps[0] + 1} after the hand-over, at stage "
                f"{off.stage}: {off.result.leaf}, {off.result.message}"
            )
            return LeafResult("trajectory", FAIL, message=message)
        if not self.scores[LOSS]:
            return LeafResult("trajectory", FAIL, message="no step could be compared: the first lies at a kink")
        note = None if self.kink is None else f"compared up to step {self.kink - 1}: {kinks.NOTE}"
        return LeafResult("trajectory", PASS, message=note)


@dataclass
class Comparison:
    """Trainings that were compared with the reference.

    Attributes:
        outcomes: by name, the result or the error.
        powers: by step and weight tensor, the smallest relative error that the step would catch.
        kept: by name, the answer to one step.
    """

    outcomes: dict[str, TrajectoryResult | ParityError]
    powers: dict[int, dict[str, float]] = field(default_factory=dict)
    kept: dict[str, Answer] = field(default_factory=dict)

    def outcome(self, name: str) -> TrajectoryResult:
        """Return how a training compares.

        Raises:
            ParityError: it could not be handed over, or failed.
        """
        found = self.outcomes[name]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return found

    def results(self, name: str, by_stage: bool = False) -> list[LeafResult]:
        """Return results for a whole trajectory and for every leaf or stage, and a failure if it has no power.

        Raises:
            ParityError: it could not be handed over, or failed.
        """
        found, first = self.outcome(name), next(iter(self.powers.values()))
        results = found.by_stage() if by_stage else found.results()
        if has_power(first):
            return results
        powerless = "powerless: not even the first step would catch an error of 1 % in a weight tensor"
        return [*results, LeafResult("power", FAIL, message=powerless)]


def compare(
    reference: ReferenceTrajectory, trainings: Mapping[str, Trainer], batches: Iterable[Batch], keep: int | None = None
) -> Comparison:
    """Let trainings take the same steps as the reference.

    Args:
        reference: JAX's trajectory.
        trainings: by name; each takes its step after those before it, and no more steps after it has failed.
        batches: one for every step.
        keep: the step, counted from 1, whose answers are kept.
    """
    found, running = Comparison({name: TrajectoryResult() for name in trainings}), dict(trainings)
    for number, batch in enumerate(batches, 1):
        _take_step(found, running, reference, batch, keep=number == keep)
    return found


def _take_step(
    found: Comparison, running: dict[str, Trainer], reference: ReferenceTrajectory, batch: Batch, keep: bool
) -> None:  # fmt: skip
    """Take the next step; its answers are let go before another is taken, but for those to `keep`."""
    expected = reference.advance(batch)
    found.powers[expected.number] = power(reference, expected)
    for name, training in list(running.items()):
        result = found.outcomes[name]
        assert isinstance(result, TrajectoryResult)
        try:
            answer = training.step(batch)
            result.add(answer, expected, reference)
        except ParityError as error:
            del running[name]
            if result.deviation is None:  # a deviation came first, and explains more
                found.outcomes[name] = error
        else:
            if keep:
                found.kept[name] = answer


def half(batches: Sequence[Batch], steps: int = INTERRUPTED_AFTER) -> int:
    """Return `steps`, or half of the number of batches if that is less.

    Raises:
        CaseError: there is one batch only.
    """
    if len(batches) < 2:
        raise CaseError(
            "training goes on for a single step, expected at least 2 to be interrupted and returned between them. "
            "Give more examples, or more Training(epochs_after=...)."
        )
    return min(steps, len(batches) // 2)


def power(reference: ReferenceTrajectory, expected: ExpectedStep) -> dict[str, float]:
    """Return, by weight tensor, the smallest relative error that the last step of `reference` would catch.

    The stage `parameters` alone decides where it would catch 1 %; measuring the other stages costs a step per tensor.
    """
    found = {
        leaf.removeprefix(f"{PARAMETERS}/"): _smallest(expected, leaf, reference.limit)
        for leaf in expected.budgets
        if stage(leaf) == PARAMETERS and leaf not in expected.halves
    }
    return found if has_power(found) else reference.power(expected)


def _smallest(expected: ExpectedStep, leaf: str, limit: float) -> float:
    oracle = expected.oracle[leaf]
    response = rules.score(distance(oracle, 0 * oracle), expected.budgets[leaf])
    return limit / response if response else math.inf


def has_power(powers: Mapping[str, float]) -> bool:
    """Return whether an error of 1 % in at least one weight tensor would be caught."""
    return min(powers.values(), default=math.inf) <= POWERLESS


def _lies_beyond_kink(
    answer: Answer, found: list[LeafResult], expected: ExpectedStep, reference: ReferenceTrajectory
) -> bool:
    """Return whether an answer that is off from the gradients on is right for a state a few ulp away, beyond a kink."""
    failed = {stage(j.leaf) for j in found if j.status != PASS}
    finite = all(math.isfinite(_score(j)) and j.status in (PASS, FAIL) for j in found)
    if GRADIENT not in failed or not finite or min(map(STAGES.index, failed)) < STAGES.index(GRADIENT):
        return False
    return any(
        all(j.status == PASS for j in rules.judge(answer, expected.jax, beyond, expected.budgets, reference.limit))
        for beyond in reference.beyond_kinks(expected)
    )


def _place(leaf: str) -> int:
    name = stage(leaf)
    return STAGES.index(name) if name in STAGES else -1


def _score(result: LeafResult) -> float:
    if result.score is None:
        return 0.0 if result.status == PASS else math.inf
    return result.score
