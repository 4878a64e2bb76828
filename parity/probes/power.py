"""Power: the smallest relative error in a weight that a probe would catch. A probe that catches none fails.

Each element of one weight tensor is multiplied by 1 + d or 1 - d, signs drawn at random (a uniform factor would be
cancelled by a batch normalisation behind it). The change of the answer, in float64, is compared with the budget: with
response r at a small d, an error of d * limit / r reaches the limit. `MOST_TENSORS` tensors are moved, one at a time,
whatever the size of the model, and then all others together. Of an answer a number is kept.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from parity.probes.declaration import Probe, Scope, size_id
from parity.records import FAIL, PASS, QUICK, PlanItem, Power
from parity.runtimes import registry
from parity.runtimes.base import EVALUATION_OF, FIRST_CPU, ORACLE
from parity.runtimes.by_probe import ByProbe
from parity.runtimes.precision import SINGLE, powerless_from
from parity.scoring import rules
from parity.scoring.rules import PROBED_WITH, LeafResult

if TYPE_CHECKING:
    from parity.cases.case import State
    from parity.runtimes.subject import Subject

ERRORS = (1e-2, 1e-1, 1.0, 10.0)
"""Relative errors tried one after the other where an answer is discrete, and does not respond linearly."""

MOST_TENSORS = 12
"""Weight tensors that are moved: the largest, the smallest, the first, the last, and others drawn at random."""


class PowerStudy:
    """The power of the probes of one subject; what they share is computed once.

    Attributes:
        leaves: by the name of a row, the weight tensors that are moved together: one, or all that are left.
    """

    def __init__(self, subject: Subject) -> None:
        import jax

        from parity.export.conversion import state_leaves

        self._subject, self._reference = subject, subject.reference
        state = subject.trained.state
        names = [s.leaf for s in state_leaves(state) if s.trainable]
        picked = chosen(dict(zip(names, map(np.size, jax.tree_util.tree_leaves(state.params)), strict=True)))
        others = frozenset(names) - frozenset(picked)
        self.leaves = {name: frozenset([name]) for name in picked}
        if others:
            self.leaves[f"{len(others)} other tensors together"] = others
        self._wide: State | None = None
        self._smallest: dict[tuple[str, int, str], ByProbe[float]] = {}

    def of(self, probe: str, size: int) -> list[Power]:
        """Return the power of `probe` at a batch size, a row per weight tensor that is moved.

        `rng` has one row for the key: it is exact, so any error is caught, unless the key does not move at all.
        """
        size, case = self._subject.batch(size).size, self._subject.case.name
        if probe == "rng":
            return [Power(case, probe, size, "key", self._key(size))]
        smallest = self._discrete if probe == rules.ACCURACY else self._continuous
        return [Power(case, probe, size, name, smallest(probe, size, name)) for name in self.leaves]

    def _key(self, size: int) -> float:
        keys = self._reference.answers(self._reference.jax, "train", size)["rng"].values()
        distinct = {self._subject.trained.state.rng.tobytes(), *(key.tobytes() for key in keys)}
        return 0.0 if len(distinct) == len(keys) + 1 else math.inf

    def _continuous(self, probe: str, size: int, name: str) -> float:
        """Return the smallest error that reaches the limit; one evaluation of a moved tensor serves all its probes."""
        key = (EVALUATION_OF[probe], size, name)
        if key not in self._smallest:
            self._smallest[key] = self._with_moved(*key)
        return self._smallest[key][probe]

    def _with_moved(self, evaluation: str, size: int, name: str) -> ByProbe[float]:
        reference, batch = self._reference, self._subject.batch(size)
        oracle, budgets = reference.answers(reference.oracle, evaluation, size), reference.budgets(evaluation, size)
        moved = reference.at(reference.oracle, self._moved_in_float64(name), evaluation, batch)

        def smallest(probe: str) -> float:
            scores = (rules.score_of(moved[probe][x], oracle[probe][x], b) for x, b in budgets[probe].items())
            response = max(scores, default=0.0)
            return PROBED_WITH * self._subject.limit_of(probe) / response if response else math.inf

        found = ByProbe[float](failed=budgets.failed)
        for probe in budgets:
            found.make(probe, smallest)
        return found

    def _discrete(self, probe: str, size: int, name: str) -> float:
        before = float(self._reference.answers(self._reference.oracle, probe, size)[probe][probe]) * size
        ambiguous = self._reference.ambiguous_rows(size)
        for error in ERRORS:
            batch, moved = self._subject.batch(size), self.moved(name, error)
            answers = self._reference.at(self._reference.jax, moved, probe, batch)
            if round(abs(float(answers[probe][probe]) * size - before)) > ambiguous:
                return error
        return math.inf

    def moved(self, name: str, error: float) -> State:
        """Return the trained state with what a row of power names off by `error`, its signs drawn at random."""
        return _move(self._subject.trained.state, self.leaves[name], error)

    def _moved_in_float64(self, name: str) -> State:
        """Return the state off by `PROBED_WITH`; what is not off is converted and placed once for all rows."""
        if self._wide is None:
            self._wide = _on_first_cpu(self._subject.trained.state)
        return _move(self._wide, self.leaves[name], PROBED_WITH)


def chosen(sizes: Mapping[str, int]) -> list[str]:
    """Return the weight tensors that are moved, in their order: all, or `MOST_TENSORS` of them.

    Args:
        sizes: number of elements by leaf, in the order of the state.
    """
    names = list(sizes)
    by_size = sorted(names, key=sizes.__getitem__)
    drawn = np.random.default_rng(0).permutation(len(names))
    wanted = dict.fromkeys([by_size[-1], by_size[0], names[0], names[-1], *(names[i] for i in drawn)]) if names else {}
    kept = set(list(wanted)[:MOST_TENSORS])
    return [name for name in names if name in kept]


def _on_first_cpu(state: State) -> State:
    import jax

    from parity.cases import jax_devices
    from parity.scoring.arithmetic import wide, x64

    with x64(), jax.default_device(jax_devices.device(FIRST_CPU)):
        placed: State = jax.tree_util.tree_map(jax.numpy.asarray, wide(state))
    return placed


def _move(state: State, weights: Collection[str], error: float) -> State:
    import jax

    from parity.cases.case import State
    from parity.export.conversion import state_leaves

    names = enumerate(s.leaf for s in state_leaves(state) if s.trainable)

    def move(array: np.ndarray) -> np.ndarray:
        index, name = next(names)
        if name not in weights:
            return array
        own = np.asarray(array)
        signs = 2 * np.random.default_rng(index).integers(0, 2, own.shape, dtype=np.int8) - 1
        return np.asarray(own * (1 + error * signs)).astype(own.dtype)

    return State(jax.tree_util.tree_map(move, state.params), state.other, state.rng)


def threshold(probe: str, dtypes: frozenset[str] = SINGLE) -> float:
    """Return the largest error at which a probe still counts as having power, of a case that computes in `dtypes`."""
    return ERRORS[-1] if probe == rules.ACCURACY else powerless_from(dtypes)


def result(probe: str, powers: list[Power], dtypes: frozenset[str] = SINGLE) -> LeafResult:
    """Return whether the probe would catch a small error in at least one weight tensor.

    That is not asked where it cannot be: of statistics that depend on no weight, and of the accuracy of one example.
    """
    smallest, most = min(p.smallest_relative_error for p in powers), threshold(probe, dtypes)
    if smallest <= most:
        return LeafResult("power", PASS)
    if probe == "batch_stats" and math.isinf(smallest):
        return LeafResult("power", PASS, message="not applicable: the other state depends on no weight")
    if probe == rules.ACCURACY and {p.batch_size for p in powers} == {1}:
        return LeafResult("power", PASS, message="not applicable: one example is right or wrong whatever a weight is")
    message = f"powerless: no relative error up to {most:g} in any weight tensor would be caught"
    return LeafResult("power", FAIL, message=message)


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.probes.registry import probes

    derived = [name for name, known in probes().items() if known.derive is not None and not known.discrete]
    names = [name for name in dict.fromkeys([*scope.case.probes, *derived]) if name in scope.probes]
    oracles = scope.having(lambda can: can.role == ORACLE)
    if names and not oracles:
        oracle = registry.with_role(ORACLE).name
        scope.left_out[probe.name] = f"power, and the checks of the oracle, left out: {oracle} is not selected"
    if discrete := [name for name in names if name in scope.discrete()] if oracles else []:
        scope.left_out[f"{probe.name} of {scope.case.name}"] = (
            f"{scope.case.name}: power of {', '.join(discrete)} left out: not applicable, because an answer without a "
            "float is compared exactly"
        )
    for oracle in oracles:
        for name in (name for name in names if name not in discrete):
            for size in scope.sizes:
                ident = size_id(f"{scope.case.name}-{name}", size, ("cpu:0", "cpu:0"))
                level = scope.levels.get(size, QUICK)
                yield scope.item(probe.name, name, oracle, size, ident=ident, level=level)


PROBE = Probe(name="power", plan=_plan, always_included=True)
