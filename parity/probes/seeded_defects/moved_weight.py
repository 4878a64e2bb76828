"""One weight tensor is moved in the runtime's own variables, by the error that scores 20 limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.probes.power import PowerStudy
from parity.probes.seeded_defects._defect import NOTHING, Defect, Setting
from parity.records import IN_ORDER
from parity.runtimes import recent
from parity.runtimes.base import CANDIDATE, EVALUATION_OF, AtState, FixedAnswers
from parity.runtimes.precision import powerless_from

if TYPE_CHECKING:
    from parity.probes.declaration import Scope
    from parity.runtimes.base import Answers, Values
    from parity.runtimes.subject import Subject

LIMITS = 20.0
"""The score that the moved weight is to have, in limits."""

FACTOR = 4.0
"""The factor within which it must: answers are not linear, and a smaller error predicts the response."""


def _overlooked(setting: Setting) -> str | None:
    import jax
    import numpy as np

    from parity.cases.case import State
    from parity.cases.functions import flatten

    subject, name = setting.subject, setting.place.runtime
    if not setting.budgets():
        return NOTHING
    study = subject.shared(PowerStudy)
    powers = study.of(setting.probe, setting.size)
    strongest = min(powers, key=lambda power: power.smallest_relative_error)
    leaf, error = strongest.weight, LIMITS * strongest.smallest_relative_error
    if not error <= LIMITS * powerless_from(subject.dtypes):
        return f"{leaf} would have to be off by {error:.2g} relative to score {LIMITS:g} limits"
    moved, kept = study.moved(leaf, error), subject.trained.state
    params = jax.tree_util.tree_map(lambda a, b: np.asarray(a).astype(b.dtype), moved.params, kept.params)
    values = flatten(State(params, kept.other, kept.rng))
    del moved, params
    evaluation, batch = EVALUATION_OF[setting.probe], subject.batch(setting.size)
    at_moved = subject.with_runtimes({name: AtState(subject.runtime(name), values)})
    answers = at_moved.compute(name, evaluation, batch, setting.place.device)
    at_moved.release()
    found = subject.shared(_Found).by_answers
    key = (setting.probe, setting.size, recent.digest(answers))
    if answers.failed or key not in found:  # of runtimes that answer alike, one is compared
        found[key] = _compared(setting, answers, values, f"{leaf} off by {error:.2g} relative")
    return found[key]


class _Found:
    """What was overlooked, by probe, batch size, and the digest of the answers from the moved state."""

    def __init__(self, subject: Subject) -> None:
        self.by_answers: dict[tuple[str, int, str], str | None] = {}


def _compared(setting: Setting, answers: Answers, values: Values, what: str) -> str | None:
    subject, name = setting.subject, setting.place.runtime
    candidate = FixedAnswers(subject.runtime(name), answers)
    defective = subject.with_runtimes({name: candidate})
    everywhere = {
        side: AtState(subject.runtime(side), values) for side in (subject.reference.jax, subject.reference.oracle)
    }
    against_trained = setting.results(defective)
    against_moved = setting.results(subject.with_runtimes({name: candidate, **everywhere}))
    floats = setting.budgets()  # integers have no score between right and wrong
    score = max((r.score for r in against_trained if r.score is not None and r.leaf in floats), default=0.0)
    expected = LIMITS * subject.limit_of(setting.probe)
    if all(r.status in IN_ORDER for r in against_trained):
        return f"{what} is not seen, it scores {score:.3g}"
    if not expected / FACTOR <= score <= expected * FACTOR:
        return f"{what} scores {score:.3g}, expected about {expected:.3g}"
    # The oracle is not asked around the moved state, so an integer at a boundary is no defect there.
    bad = [r for r in against_moved if r.status not in IN_ORDER and (r.leaf in floats or r.score is None)]
    return f"{what} on both sides is not in order: {bad[0].leaf}: {bad[0].message}" if bad else None


def _runtimes(scope: Scope) -> list[str]:
    return scope.having(lambda can: can.role == CANDIDATE and can.any_state)


DEFECT = Defect("moved_weight", _overlooked, _runtimes)
