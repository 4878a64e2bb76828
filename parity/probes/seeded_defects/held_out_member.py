"""A further evaluation of the ensemble's kind scores about 1: budgets that are too wide or too narrow do not fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parity.probes.seeded_defects._defect import NOTHING, Defect, Setting
from parity.runtimes.base import EVALUATION_OF, FixedAnswers
from parity.scoring import rules

if TYPE_CHECKING:
    from parity.probes.declaration import Scope

LEAST, MOST = 1 / 8, 8.0
"""Between which the score lies; 1 is expected.

Measured with jax 0.10.2 over 100 seeds (`reference`: 40), `predict` and `eval_gradient`, over `reference`, `ratings`
and fixtures/cases/iris.py: 0.54 to 2.1 at batch size 13, 0.25 to 2.7 at 2.
"""


def _overlooked(setting: Setting) -> str | None:
    subject, evaluation = setting.subject, EVALUATION_OF[setting.probe]
    noted = subject.reference.held_out(evaluation, setting.size).get(setting.probe)
    if noted and LEAST <= np.max(noted) <= MOST:
        return None
    name = subject.reference.jax
    answers = subject.reference.member(evaluation, subject.batch(setting.size), rules.MEMBERS)
    if not any(map(rules.is_float, answers[setting.probe].values())):
        return NOTHING
    other = subject.with_runtimes({name: FixedAnswers(subject.runtime(name), answers)})
    score = max((r.score for r in setting.results(other) if r.score is not None), default=0.0)
    if LEAST <= score <= MOST:
        return None
    return f"an answer as good as those that budgets are made of scores {score:.3g}, expected about 1"


def _runtimes(scope: Scope) -> list[str]:
    return scope.reference


DEFECT = Defect("held_out_member", _overlooked, _runtimes)
