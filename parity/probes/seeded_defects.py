"""Canaries: planted defects that every run must see, or what it says of the pair is worth nothing.

Each goes the way of the run's own questions, through `Subject.results`, so that whatever blinds those is seen here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from parity.cases.case import State
from parity.cases.specs import Answer, Array, Batch
from parity.probes.power import PowerStudy
from parity.records import FAIL, IN_ORDER, NO_DEVICE, PASS, PlanItem
from parity.runtimes import CONVERTED, EVALUATION_OF, JAX, JAX_FLOAT64, SAVED_MODEL, SAVED_MODEL_FRESH, BaseRuntime
from parity.runtimes.preparation import FIRST_CPU
from parity.runtimes.subject import Answers, Subject
from parity.scoring import rules
from parity.scoring.rules import Budget, LeafResult

OVER_THE_LIMIT = 20.0
"""The score that a moved weight is to have, in limits."""

MEASURED_WITHIN = 4.0
"""The factor within which it must: answers are not linear, the oracle's response to a smaller error foretells it."""

LARGEST_ERROR = 0.2
"""Relative, of a weight; `OVER_THE_LIMIT` times what `power.POWERLESS` allows."""

NINTH_MEMBER = (1 / 16, 16.0)
"""Between which the score of a further float32 evaluation of the ensemble's kind lies; 1 is expected.

Measured with jax 0.10.2 over 100 seeds (`reference`: 40), `predict` and `eval_gradient`: 0.43 to 2.9 at batch size 13,
0.17 to 3.4 at 2, over `reference`, `ratings`, fixtures/cases/iris.py and a small model.
"""

LAST_ELEMENT = 3.0
"""How far the last element of a leaf is moved, in limits."""

PLANTED_IN = ("predict", "eval_gradient")
"""The probes whose answers defects are planted in: one that serves, one with many leaves."""

NOTHING = "no leaf can have this defect"


@dataclass(frozen=True)
class Bench:
    """What a canary needs: the subject, its power study, the runtime and batch size that are asked."""

    subject: Subject
    study: PowerStudy
    runtime: str
    size: int

    def results(self, probe: str) -> list[LeafResult]:
        """What the subject says of the runtime now."""
        device = NO_DEVICE if self.runtime in (JAX, JAX_FLOAT64) else FIRST_CPU
        return self.subject.results(
            PlanItem(
                item="canary",
                test=probe,
                case=self.subject.case.name,
                probe=probe,
                runtime=self.runtime,
                batch_size=self.size,
                jax_device=FIRST_CPU,
                tf_device=device,
            )
        )

    def answers(self, probe: str) -> Answers:
        """The runtime's own answers."""
        return self.subject.ask(self.runtime, EVALUATION_OF[probe], self.subject.batch(self.size))

    def budgets(self, probe: str) -> dict[str, Budget]:
        """The budgets of a probe."""
        return self.subject.budgets(EVALUATION_OF[probe], self.size)[probe]


class Planted(BaseRuntime):
    """Gives answers that were made beforehand."""

    def __init__(self, honest: BaseRuntime, answers: Answers) -> None:
        super().__init__(honest.model)
        self._honest, self._answers = honest, answers

    def devices(self) -> list[str]:
        """The honest runtime's devices."""
        return self._honest.devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """The planted answers, whatever is asked."""
        return self._answers


class FromState(BaseRuntime):
    """JAX or the oracle, from another state than the subject's."""

    def __init__(self, honest: Any, state: State) -> None:
        super().__init__(honest.model)
        self._honest, self._state = honest, state

    def devices(self) -> list[str]:
        """The honest runtime's devices."""
        found: list[str] = self._honest.devices()
        return found

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Answers from that state."""
        answers: Answers = self._honest.compute_from(self._state, evaluation, batch, device)
        return answers


def planted_in(probes: Sequence[str]) -> list[str]:
    """Those of `PLANTED_IN` that are among `probes`; else all that have a budget."""
    mine = [probe for probe in probes if probe not in (rules.ACCURACY, "rng")]
    return [probe for probe in PLANTED_IN if probe in mine] or mine


def asked(probes: Sequence[str], runtimes: Sequence[str]) -> list[tuple[str, str]]:
    """The canaries of a case with these probes, where these runtimes are asked: name and runtime."""
    if not planted_in(probes):
        return []
    in_process = [r for r in (*CONVERTED, SAVED_MODEL) if r in runtimes]
    one = [r for r in (SAVED_MODEL, *CONVERTED, SAVED_MODEL_FRESH) if r in runtimes][:1]
    known = {
        "moved_weight": in_process,
        **dict.fromkeys(PLANTS, one),
        "ninth_member": [r for r in (JAX,) if r in runtimes],
        "false_oracle": [r for r in (JAX_FLOAT64,) if r in runtimes],
    }
    return [(name, runtime) for name, on in known.items() for runtime in on]


def result(name: str, subject: Subject, study: PowerStudy, runtime: str, size: int) -> LeafResult:
    """Whether the subject sees what the canary `name` plants.

    Raises:
        ParityError: a runtime failed.
    """
    bench = Bench(subject, study, runtime, size)
    said = {}
    for probe in planted_in(subject.case.probes):
        bench.budgets(probe)  # before anything is planted that they could be made from
        said[probe] = CANARIES[name](bench, probe)
    if all(sentence == NOTHING for sentence in said.values()):
        return LeafResult(name, FAIL, message=f"blind: {NOTHING}")
    blind = [f"{sentence}, in {probe}" for probe, sentence in said.items() if sentence not in (None, NOTHING)]
    return LeafResult(name, FAIL, message=f"blind: {blind[0]}") if blind else LeafResult(name, PASS)


def _moved_weight(bench: Bench, probe: str) -> str | None:
    """One weight tensor moved in the runtime's own variables."""
    subject, runtime = bench.subject, bench.subject.runtime(bench.runtime)
    powers = bench.study.of(probe, bench.size)
    index = min(range(len(powers)), key=lambda i: powers[i].smallest_relative_error)
    leaf, error = powers[index].weight, OVER_THE_LIMIT * powers[index].smallest_relative_error
    if not error <= LARGEST_ERROR:
        return f"{leaf} would have to be off by {error:.2g} relative to score {OVER_THE_LIMIT:g} limits"
    state = _as_stored(bench.study.moved(index, error), subject.trained.state)
    value = np.asarray(jax.tree_util.tree_leaves(state.params)[index])
    held: Any = runtime
    with held.holding(leaf, value, FIRST_CPU):
        with subject.instead({}):
            against_honest = bench.results(probe)
        moved = {name: FromState(subject.runtime(name), state) for name in (JAX, JAX_FLOAT64)}
        with subject.instead(moved):
            against_moved = bench.results(probe)
    score = max((j.score for j in against_honest if j.score is not None), default=0.0)
    wanted = OVER_THE_LIMIT * subject.limit
    if all(j.status in IN_ORDER for j in against_honest):
        return f"{leaf} off by {error:.2g} relative is not seen, it scores {score:.3g}"
    if not wanted / MEASURED_WITHIN <= score <= wanted * MEASURED_WITHIN:
        return f"{leaf} off by {error:.2g} relative scores {score:.3g}, expected about {wanted:.3g}"
    bad = [j for j in against_moved if j.status not in IN_ORDER]
    return f"{leaf} moved on both sides is not in order: {bad[0].leaf}: {bad[0].message}" if bad else None


def _as_stored(state: State, like: State) -> State:
    """`state` in the dtypes of `like`, in which variables keep it."""
    cast = jax.tree_util.tree_map(lambda a, b: np.asarray(a).astype(b.dtype), state.params, like.params)
    return State(cast, state.other, state.rng)


def _false_oracle(bench: Bench, probe: str) -> str | None:
    """JAX's float32 answer in the oracle's place."""
    evaluation, batch = EVALUATION_OF[probe], bench.subject.batch(bench.size)
    mine = bench.subject.ask(JAX, evaluation, batch)
    wide = {p: {leaf: a.astype(np.float64) if rules.is_float(a) else a for leaf, a in answer.items()}
            for p, answer in mine.items()}  # fmt: skip
    with bench.subject.instead({JAX_FLOAT64: Planted(bench.subject.runtime(JAX_FLOAT64), wide)}):
        found = bench.results(probe)
    several = {leaf for leaf, a in mine[probe].items() if rules.is_float(a) and a.size > 1 and a.any()}
    if not several:
        return NOTHING
    unseen = sorted(several - {j.leaf for j in found if j.status not in IN_ORDER})
    return f"an oracle that is JAX's own answer passes for {unseen[0]}" if unseen else None


def _ninth_member(bench: Bench, probe: str) -> str | None:
    """A further evaluation of the ensemble's kind, which budgets that are too wide or too narrow do not fit."""
    answers = bench.subject.further_member(EVALUATION_OF[probe], bench.size)
    with bench.subject.instead({JAX: Planted(bench.subject.runtime(JAX), answers)}):
        score = max((j.score for j in bench.results(probe) if j.score is not None), default=0.0)
    least, most = NINTH_MEMBER
    fits = least <= score <= most
    return None if fits else f"an answer as good as those that budgets are made of scores {score:.3g}, expected about 1"


Plant = Callable[[Answer, Mapping[str, Budget], float], Answer]
"""Makes a faulty answer of an honest one, its budgets and the limit."""


def _each(change: Callable[[Array], Array]) -> Plant:
    return lambda answer, budgets, limit: {leaf: change(array) for leaf, array in answer.items()}


def _floats(change: Callable[[Array], Array]) -> Plant:
    return _each(lambda array: change(array) if rules.is_float(array) else array)


def _with_one(value: float) -> Callable[[Array], Array]:
    """The element nearest zero made `value`: where a zero in its place would be noticed least."""

    def change(array: Array) -> Array:
        changed = array.copy()
        changed.flat[int(np.abs(array).argmin())] = value
        return changed

    return change


def _last_element(answer: Answer, budgets: Mapping[str, Budget], limit: float) -> Answer:
    reach = {leaf: LAST_ELEMENT * limit * budget.max for leaf, budget in budgets.items()}
    return {leaf: _further(array, reach.get(leaf, 1.0)) for leaf, array in answer.items()}


def _further(array: Array, by: float) -> Array:
    """`array` with its last element larger by `by`, or if that is too little to be stored, by one ulp."""
    changed, last = array.copy(), (-1,) * array.ndim
    changed[last] = (array[last].astype(np.float64) + by).astype(array.dtype)
    if changed[last] == array[last]:
        changed[last] = np.nextafter(array[last], array.dtype.type(math.inf))
    return changed


PLANTS: dict[str, Plant] = {
    "reversed_rows": _each(lambda array: array[::-1] if array.ndim else array),
    "nan": _floats(_with_one(math.nan)),
    "infinity": _floats(_with_one(math.inf)),
    "dropped_leaf": lambda answer, budgets, limit: dict(list(answer.items())[:-1]),
    "empty_answer": lambda answer, budgets, limit: {},
    "float64_answer": _floats(lambda array: array.astype(np.float64)),
    "float16_answer": _floats(lambda array: array.astype(np.float16)),
    "last_element": _last_element,
}
"""By name, what is planted in a runtime's answer. Every leaf that is no longer the same must be found out of order; of
reversed rows one leaf, because another may have equal rows."""


def _planted(name: str) -> Callable[[Bench, str], str | None]:
    def canary(bench: Bench, probe: str) -> str | None:
        honest = bench.answers(probe)
        faulty = PLANTS[name](honest[probe], bench.budgets(probe), bench.subject.limit)
        changed = [leaf for leaf, array in honest[probe].items() if not _same(array, faulty.get(leaf))]
        if not changed:
            return NOTHING
        answers = {**honest, probe: faulty}
        with bench.subject.instead({bench.runtime: Planted(bench.subject.runtime(bench.runtime), answers)}):
            seen = {j.leaf for j in bench.results(probe) if j.status not in IN_ORDER}
        unseen = [leaf for leaf in changed if leaf not in seen]
        if not unseen or (name == "reversed_rows" and len(unseen) < len(changed)):
            return None
        return f"{name} is not seen in {unseen[0]}"

    return canary


def _same(one: Array, other: Array | None) -> bool:
    alike = other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)
    return alike and other is not None and one.tobytes() == other.tobytes()


CANARIES: dict[str, Callable[[Bench, str], str | None]] = {
    "moved_weight": _moved_weight,
    **{name: _planted(name) for name in PLANTS},
    "ninth_member": _ninth_member,
    "false_oracle": _false_oracle,
}
"""By name; each says what is not seen in a probe, or None."""
