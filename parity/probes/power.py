"""Power: the smallest relative error in a weight that a probe would catch. A probe that catches none fails.

For every weight tensor, each element is multiplied by 1 + d or 1 - d, signs drawn at random (a uniform factor would be
cancelled by a batch normalisation behind it). The change of the answer, in float64, is compared with the budget: with
response r at a small d, an error of d * limit / r reaches the limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from parity.probes.declaration import Probe, Scope, size_id
from parity.records import FAIL, PASS, PlanItem, Power
from parity.runtimes.base import EVALUATION_OF, ORACLE
from parity.scoring import rules
from parity.scoring.compare import distance
from parity.scoring.rules import POWERLESS, PROBED_WITH, LeafResult

if TYPE_CHECKING:
    from parity.cases.case import State
    from parity.runtimes.base import Answers
    from parity.runtimes.subject import Subject

ERRORS = (1e-2, 1e-1, 1.0, 10.0)
"""Relative errors tried one after the other where an answer is discrete, and does not respond linearly."""


class PowerStudy:
    """The power of the probes of one subject; what they share is computed once."""

    def __init__(self, subject: Subject) -> None:
        from parity.export.conversion import state_leaves

        self._subject, self._reference = subject, subject.reference
        self._weights = [s.leaf for s in state_leaves(subject.trained.state) if s.trainable]
        self._states: dict[tuple[int, float], State] = {}
        self._responses: dict[tuple[str, int, int], Answers] = {}

    def of(self, probe: str, size: int) -> list[Power]:
        """Return the power of `probe` at a batch size, a row per weight tensor.

        `rng` has one row for the key: it is exact, so any error is caught, unless the key does not move at all.
        """
        size, case = self._subject.batch(size).size, self._subject.case.name
        if probe == "rng":
            return [Power(case, probe, size, "key", self._key(size))]
        smallest = self._discrete if probe == rules.ACCURACY else self._continuous
        return [Power(case, probe, size, name, smallest(probe, size, i)) for i, name in enumerate(self._weights)]

    def _key(self, size: int) -> float:
        keys = self._reference.answers(self._reference.jax, "train", size)["rng"].values()
        distinct = {self._subject.trained.state.rng.tobytes(), *(key.tobytes() for key in keys)}
        return 0.0 if len(distinct) == len(keys) + 1 else math.inf

    def _continuous(self, probe: str, size: int, index: int) -> float:
        evaluation = EVALUATION_OF[probe]
        oracle = self._reference.answers(self._reference.oracle, evaluation, size)[probe]
        budgets = self._reference.budgets(evaluation, size)[probe]
        moved = self._response(evaluation, size, index)[probe]
        scores = (rules.score(distance(moved[leaf], oracle[leaf]), budgets[leaf]) for leaf in budgets)
        response = max(scores, default=0.0)
        return PROBED_WITH * self._subject.limit / response if response else math.inf

    def _response(self, evaluation: str, size: int, index: int) -> Answers:
        """Return the oracle's answers with one weight tensor moved; one evaluation serves all its probes."""
        key = (evaluation, size, index)
        if key not in self._responses:
            batch, moved = self._subject.batch(size), self.moved(index, PROBED_WITH)
            self._responses[key] = self._reference.at(self._reference.oracle, moved, evaluation, batch)
        return self._responses[key]

    def _discrete(self, probe: str, size: int, index: int) -> float:
        before = float(self._reference.answers(self._reference.oracle, probe, size)[probe][probe]) * size
        ambiguous = self._reference.ambiguous_rows(size)
        for error in ERRORS:
            batch, moved = self._subject.batch(size), self.moved(index, error)
            answers = self._reference.at(self._reference.jax, moved, probe, batch)
            if round(abs(float(answers[probe][probe]) * size - before)) > ambiguous:
                return error
        return math.inf

    def moved(self, index: int, error: float) -> State:
        """Return the trained state with weight tensor `index` off by `error`, its signs drawn at random."""
        if (index, error) not in self._states:
            self._states[index, error] = _move(self._subject.trained.state, index, error)
        return self._states[index, error]


def _move(state: State, index: int, error: float) -> State:
    import jax

    from parity.cases.case import State
    from parity.export.conversion import state_leaves

    rng = np.random.default_rng(index)
    counter = iter(range(len(state_leaves(state))))

    def move(array: np.ndarray) -> np.ndarray:
        if next(counter) != index:
            return array
        wide = array.astype(np.float64) if error < ERRORS[0] else np.asarray(array)
        signs = 2 * rng.integers(0, 2, array.shape, dtype=np.int8) - 1
        return np.asarray(wide * (1 + error * signs)).astype(wide.dtype)

    return State(jax.tree_util.tree_map(move, state.params), state.other, state.rng)


def threshold(probe: str) -> float:
    """Return the largest error at which a probe still counts as having power."""
    return ERRORS[-1] if probe == rules.ACCURACY else POWERLESS


def result(probe: str, powers: list[Power]) -> LeafResult:
    """Return whether the probe would catch a small error in at least one weight tensor."""
    smallest, most = min(p.smallest_relative_error for p in powers), threshold(probe)
    message = f"powerless: no relative error up to {most:g} in any weight tensor would be caught"
    return LeafResult("power", PASS) if smallest <= most else LeafResult("power", FAIL, message=message)


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.probes.registry import probes

    for oracle in scope.having(lambda can: can.role == ORACLE):
        derived = [name for name, known in probes().items() if known.derive is not None]
        for name in dict.fromkeys([*scope.case.probes, *derived]):
            if name in scope.probes:
                for size in scope.sizes:
                    ident = size_id(f"{scope.case.name}-{name}", size, ("cpu:0", "cpu:0"))
                    yield scope.item(probe.name, name, oracle, size, ident=ident)


PROBE = Probe(name="power", plan=_plan, always_included=True)
