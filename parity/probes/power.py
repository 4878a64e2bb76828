"""Power: the smallest relative error in a weight that a probe would catch. A probe that catches none fails.

For every weight tensor, each element is multiplied by 1 + d or 1 - d, signs drawn at random (a uniform factor would be
cancelled by a batch normalisation behind it). The change of the answer, in float64, is compared with the budget: with
response r at a small d, an error of d * limit / r reaches the limit.
"""

from __future__ import annotations

import math

import numpy as np

from parity.cases.case import State
from parity.cases.specs import Answer
from parity.export.conversion import map_leaves, state_leaves
from parity.records import FAIL, PASS, Power
from parity.runtimes import EVALUATION_OF, JAX, JAX_FLOAT64
from parity.runtimes.subject import Subject
from parity.scoring import rules
from parity.scoring.compare import distance
from parity.scoring.rules import POWERLESS, PROBED_WITH, LeafResult

LADDER = (1e-2, 1e-1, 1.0, 10.0)
"""Relative errors tried one after the other where an answer is discrete, and does not respond linearly."""


class PowerStudy:
    """The power of the probes of one case; what they share is computed once."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._weights = [s.leaf for s in state_leaves(subject.trained.state) if s.trainable]
        self._states: dict[tuple[int, float], State] = {}
        self._responses: dict[tuple[str, int, int], dict[str, Answer]] = {}

    def of(self, probe: str, size: int) -> list[Power]:
        """The power of `probe` at a batch size, a row per weight tensor.

        `rng` has one row for the key: exact, so any error is caught, unless the key does not move at all.
        """
        size = self._subject.batch(size).size
        case = self._subject.case.name
        if probe == "rng":
            return [Power(case, probe, size, "key", self._key(size))]
        smallest = self._discrete if probe == "accuracy" else self._continuous
        return [Power(case, probe, size, name, smallest(probe, size, i)) for i, name in enumerate(self._weights)]

    def _key(self, size: int) -> float:
        keys = self._subject.kept(JAX, "train", size)["rng"].values()
        distinct = {self._subject.trained.state.rng.tobytes(), *(key.tobytes() for key in keys)}
        return 0.0 if len(distinct) == len(keys) + 1 else math.inf

    def _continuous(self, probe: str, size: int, index: int) -> float:
        evaluation = EVALUATION_OF[probe]
        oracle = self._subject.kept(JAX_FLOAT64, evaluation, size)[probe]
        budgets = self._subject.budgets(evaluation, size)[probe]
        moved = self._response(evaluation, size, index)[probe]
        scores = (rules.score(distance(moved[leaf], oracle[leaf]), budgets[leaf]) for leaf in budgets)
        response = max(scores, default=0.0)
        return PROBED_WITH * self._subject.limit / response if response else math.inf

    def _response(self, evaluation: str, size: int, index: int) -> dict[str, Answer]:
        """The oracle's answers with weight tensor `index` moved; one evaluation serves all its probes."""
        key = (evaluation, size, index)
        if key not in self._responses:
            batch, moved = self._subject.batch(size), self.moved(index, PROBED_WITH)
            self._responses[key] = self._subject.answers_from(JAX_FLOAT64, moved, evaluation, batch)
        return self._responses[key]

    def _discrete(self, probe: str, size: int, index: int) -> float:
        before = float(self._subject.kept(JAX_FLOAT64, probe, size)[probe][probe]) * size
        ambiguous = self._subject.ambiguous_rows(size)
        for error in LADDER:
            answers = self._subject.answers_from(JAX, self.moved(index, error), probe, self._subject.batch(size))
            if round(abs(float(answers[probe][probe]) * size - before)) > ambiguous:
                return error
        return math.inf

    def moved(self, index: int, error: float) -> State:
        """The trained state with weight tensor `index` off by `error`, its signs drawn at random."""
        if (index, error) not in self._states:
            self._states[index, error] = _move(self._subject.trained.state, index, error)
        return self._states[index, error]


def _move(state: State, index: int, error: float) -> State:
    rng = np.random.default_rng(index)
    counter = iter(range(len(state_leaves(state))))

    def move(array: np.ndarray) -> np.ndarray:
        if next(counter) != index:
            return array
        wide = array.astype(np.float64) if error < LADDER[0] else array
        signs = 2 * rng.integers(0, 2, array.shape, dtype=np.int8) - 1
        return wide * (1 + error * signs).astype(wide.dtype)

    return State(map_leaves(move, state.params), state.other, state.rng)


def threshold(probe: str) -> float:
    """The largest error at which a probe still counts as having power."""
    return LADDER[-1] if probe == "accuracy" else POWERLESS


def judge(probe: str, powers: list[Power]) -> LeafResult:
    """Whether the probe would catch a small error in at least one weight tensor."""
    smallest, most = min(p.smallest_relative_error for p in powers), threshold(probe)
    message = f"powerless: no relative error up to {most:g} in any weight tensor would be caught"
    return LeafResult("power", PASS) if smallest <= most else LeafResult("power", FAIL, message=message)
