"""The trajectory: training that goes on, held against JAX's own course at every step, on every rung."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from parity.cases.specs import Answer, Batch
from parity.core.errors import ParityError
from parity.handover import GRADIENT, LOSS, PARAMETERS, RUNGS, rung
from parity.handover.course import Course, Expected
from parity.records import FAIL, PASS
from parity.scoring import kinks, rules
from parity.scoring.compare import distance
from parity.scoring.rules import POWERLESS, LeafResult


class Followable(Protocol):
    """Whatever trains on, step by step; see `continuing.Continuation`."""

    def step(self, batch: Batch) -> Answer:
        """Take a step; everything that it computes and leaves behind, by leaf."""


@dataclass(frozen=True)
class Departure:
    """Where a trajectory first left its budget: at which step, counted from the start, and on which leaf."""

    step: int
    result: LeafResult

    @property
    def rung(self) -> str:
        """The first rung of the ladder that is off there."""
        return rung(self.result.leaf)


@dataclass
class Followed:
    """What became of one training that went on.

    Attributes:
        worst: of every leaf the worst result over the steps up to the departure: what is off later follows from it.
        departure: where it first left its budget, if it did.
        kink: the step from which nothing is judged, because its gradients lawfully lie beyond a kink, if there is one.
        steps: the steps taken, counted from the start of training.
        losses: the loss at each.
        scores: by rung, the highest score at each step that was judged.
    """

    worst: dict[str, LeafResult] = field(default_factory=dict)
    departure: Departure | None = None
    kink: int | None = None
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in RUNGS})

    def add(self, answer: Answer, expected: Expected, course: Course) -> None:
        """Judge a step."""
        self.steps.append(expected.number)
        self.losses.append(float(answer[LOSS]))
        if self.kink is not None:
            return
        answer = expected.comparable(answer)
        found = rules.judge(answer, expected.jax, expected.oracle, expected.budgets, course.limit)
        if self.departure is None and _lies_beyond_kink(answer, found, expected, course):
            self.kink = expected.number
            return
        for name in RUNGS:
            self.scores[name].append(max((_score(j) for j in found if rung(j.leaf) == name), default=0.0))
        if self.departure is not None:
            return  # what is off later follows from it
        failed = sorted((j for j in found if j.status != PASS), key=lambda j: (_place(j.leaf), -_score(j)))
        self.departure = Departure(expected.number, failed[0]) if failed else None
        for result in found:
            self._keep(result, expected.number)

    def _keep(self, result: LeafResult, step: int) -> None:
        before = self.worst.get(result.leaf)
        if before is None or result.status != PASS or _score(before) < _score(result):
            message = result.message and f"at step {step}: {result.message}"
            self.worst[result.leaf] = replace(result, message=message)

    def results(self) -> list[LeafResult]:
        """One for the trajectory as a whole, which names where it departs first; then one of every leaf."""
        ordered = sorted(self.worst.values(), key=lambda j: _place(j.leaf))
        return [self._whole(), *ordered]

    def by_rung(self) -> list[LeafResult]:
        """One for the trajectory as a whole; then the worst of each rung, under its name."""
        rungs = [[j for j in self.worst.values() if rung(j.leaf) == name] for name in RUNGS]
        worst = (max(found, key=lambda j: (j.status != PASS, _score(j))) for found in rungs if found)
        return [self._whole(), *(rules.renamed(j, rung(j.leaf)) for j in worst)]

    def _whole(self) -> LeafResult:
        if self.departure is not None:
            after = self.departure.step - self.steps[0] + 1
            message = (
                f"leaves JAX's course at step {self.departure.step}, {after} after the hand-over, on the rung "
                f"{self.departure.rung}: {self.departure.result.leaf}, {self.departure.result.message}"
            )
            return LeafResult("trajectory", FAIL, message=message)
        if not self.scores[LOSS]:
            return LeafResult("trajectory", FAIL, message="no step could be judged: the first lies at a kink")
        note = None if self.kink is None else f"judged up to step {self.kink - 1}: {kinks.NOTE}"
        return LeafResult("trajectory", PASS, message=note)


class Follower:
    """Lets trainings take the same steps as JAX.

    Args:
        course: JAX's.
        trainings: by name; each takes a step after those before it. One that fails is left behind, with its error.
    """

    def __init__(self, course: Course, trainings: Mapping[str, Followable]) -> None:
        self._course, self._trainings = course, dict(trainings)
        self.followed: dict[str, Followed | ParityError] = {name: Followed() for name in trainings}

    def step(self, batch: Batch) -> tuple[Expected, dict[str, Answer]]:
        """Take a step; what was expected, and the answers."""
        expected, answers = self._course.advance(batch), {}
        for name, training in list(self._trainings.items()):
            found = self.followed[name]
            if isinstance(found, Followed):
                try:
                    answers[name] = training.step(batch)
                    found.add(answers[name], expected, self._course)
                except ParityError as error:
                    if found.departure is None:
                        self.followed[name] = error
                    else:
                        del self._trainings[name]  # what went wrong first says more
        return expected, answers


def power(course: Course, expected: Expected) -> dict[str, float]:
    """By weight tensor, the smallest relative error that the last step of `course` would catch.

    Where the rung `parameters` itself would catch 1 %, by that rung alone.
    """
    found = _own_power(expected, course.limit)
    return found if has_power(found) else course.power(expected)


def _own_power(expected: Expected, limit: float) -> dict[str, float]:
    return {
        leaf.removeprefix(f"{PARAMETERS}/"): _smallest(expected, leaf, limit)
        for leaf in expected.budgets
        if rung(leaf) == PARAMETERS and leaf not in expected.halves
    }


def _smallest(expected: Expected, leaf: str, limit: float) -> float:
    oracle = expected.oracle[leaf]
    response = rules.score(distance(oracle, 0 * oracle), expected.budgets[leaf])
    return limit / response if response else math.inf


def judge_power(first: Mapping[str, float]) -> list[LeafResult]:
    """A failure where a defect would not even be seen at the first step, by the powers at it; else nothing."""
    powerless = "powerless: not even at the first step would an error of 1 % in a weight tensor be caught"
    return [] if has_power(first) else [LeafResult("power", FAIL, message=powerless)]


def has_power(powers: Mapping[str, float]) -> bool:
    """Whether an error of 1 % in at least one weight tensor would be caught."""
    return min(powers.values(), default=math.inf) <= POWERLESS


def _lies_beyond_kink(answer: Answer, found: list[LeafResult], expected: Expected, course: Course) -> bool:
    """Whether an answer that is off from the gradients on is that of a point a few ulp away, beyond a kink."""
    failed = {rung(j.leaf) for j in found if j.status != PASS}
    finite = all(math.isfinite(_score(j)) and j.status in (PASS, FAIL) for j in found)
    if GRADIENT not in failed or not finite or min(map(RUNGS.index, failed)) < RUNGS.index(GRADIENT):
        return False
    return any(
        all(j.status == PASS for j in rules.judge(answer, expected.jax, beyond, expected.budgets, course.limit))
        for beyond in course.beyond_kinks(expected)
    )


def _place(leaf: str) -> int:
    name = rung(leaf)
    return RUNGS.index(name) if name in RUNGS else -1


def _score(result: LeafResult) -> float:
    if result.score is None:
        return 0.0 if result.status == PASS else math.inf
    return result.score
