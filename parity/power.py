"""Power: the smallest relative error in a weight that a probe would catch. A probe that catches none fails.

For every weight tensor, each element is multiplied by 1 + d or 1 - d, signs drawn at random (a uniform factor would be
cancelled by a batch normalisation behind it). The change of the answer, in float64, is compared with the budget: with
response r at a small d, an error of d * limit / r reaches the limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from parity import judging
from parity.case import State
from parity.compare import distance
from parity.export import map_leaves, state_leaves
from parity.judging import Judgement
from parity.records import FAIL, PASS, Power
from parity.runtimes import EVALUATION_OF, JAX, JAX_FLOAT64

if TYPE_CHECKING:
    from parity.harness import Harness

PROBED_WITH = 1e-4
"""The relative error with which the response is measured: small enough to be linear, in float64 far above rounding."""

POWERLESS = 1e-2
"""A probe has no power if no weight tensor would be caught at 1 % relative error."""

LADDER = (1e-2, 1e-1, 1.0, 10.0)
"""Relative errors tried one after the other where an answer is discrete, and does not respond linearly."""


def powers_of(harness: Harness, probe: str, size: int) -> list[Power]:
    """The power of `probe` at a batch size, a row per weight tensor.

    `rng` has one row for the key: exact, so any error is caught, unless the key does not move at all.
    """
    if probe == "rng":
        return [Power(harness.case.name, probe, size, "key", _key_power(harness, size))]
    names = [s.leaf for s in state_leaves(harness.trained.state) if s.trainable]
    smallest = _discrete if probe == "accuracy" else _continuous
    return [
        Power(harness.case.name, probe, size, name, smallest(harness, probe, size, index))
        for index, name in enumerate(names)
    ]


def threshold(probe: str) -> float:
    """The largest error at which a probe still counts as having power."""
    return LADDER[-1] if probe == "accuracy" else POWERLESS


def judge(probe: str, powers: list[Power]) -> Judgement:
    """Whether the probe would catch a small error in at least one weight tensor."""
    smallest, most = min(p.smallest_relative_error for p in powers), threshold(probe)
    message = f"powerless: no relative error up to {most:g} in any weight tensor would be caught"
    return Judgement("power", PASS) if smallest <= most else Judgement("power", FAIL, message=message)


def _key_power(harness: Harness, size: int) -> float:
    keys = harness.kept(JAX, "train", size)["rng"].values()
    distinct = {harness.trained.state.rng.tobytes(), *(key.tobytes() for key in keys)}
    return 0.0 if len(distinct) == len(keys) + 1 else math.inf


def _continuous(harness: Harness, probe: str, size: int, index: int) -> float:
    evaluation = EVALUATION_OF[probe]
    oracle, budgets = harness.kept(JAX_FLOAT64, evaluation, size)[probe], harness.budgets(evaluation, size)[probe]
    answers = _responses(harness, evaluation, size, index)[probe]
    response = max(judging.score(distance(answers[leaf], oracle[leaf]), budgets[leaf]) for leaf in budgets)
    return PROBED_WITH * harness.limit / response if response else math.inf


def _responses(harness: Harness, evaluation: str, size: int, index: int) -> dict[str, Any]:
    """The oracle's answers with weight tensor `index` moved; one evaluation serves all its probes."""
    key = (evaluation, size, index)
    if key not in harness.responses:
        moved = _moved(harness, index, PROBED_WITH)
        harness.responses[key] = harness.answers_from(JAX_FLOAT64, moved, evaluation, harness.batch(size))
    return harness.responses[key]


def _discrete(harness: Harness, probe: str, size: int, index: int) -> float:
    before = float(harness.kept(JAX_FLOAT64, probe, size)[probe][probe]) * size
    for error in LADDER:
        moved = _moved(harness, index, error)
        after = harness.answers_from(JAX, moved, probe, harness.batch(size))[probe][probe]
        if round(abs(float(after) * size - before)) > harness.ambiguous_rows(size):
            return error
    return math.inf


def _moved(harness: Harness, index: int, error: float) -> State:
    """The trained state with weight tensor `index` moved; made once per tensor and error."""
    if (index, error) not in harness.moved:
        harness.moved[index, error] = _move(harness.trained.state, index, error)
    return harness.moved[index, error]


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
