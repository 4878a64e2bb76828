"""What is kept of a trajectory; where it lies at a kink, and what budget the squares of gradients get."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from parity import judging, kinks
from parity.handover import LOSS, RUNGS, rung
from parity.handover.course import Course, Expected, Point, _of_squares, answer, stepping
from parity.handover.trajectory import Departure, Followed, Follower, has_power, power
from parity.judging import Budget
from parity.records import FAIL, MISSING, PASS
from parity.specs import Batch
from parity.tests import tiny, tiny_training
from parity.tests.planting import rewound

UNIT, FAR = 3, 6.0
"""The unit that lies at a kink, and how far beside it in ulp: more than the ensemble sees, less than 16 ulp."""


class InJax:
    """A training that goes on in JAX by the step of its course, on batches that `seen` may change."""

    def __init__(self, course, point, seen=lambda number, batch: batch, fault=lambda number, found: found):
        self._course, self._point, self._number = course, point, 0
        self._seen, self._fault = seen, fault

    def step(self, batch):
        self._number += 1
        found = self._course.go_on(self._point, self._seen(self._number, batch))
        self._point = Point.after(found)
        return self._fault(self._number, {leaf: np.asarray(array) for leaf, array in answer(found).items()})


@pytest.fixture(scope="module")
def course(tiny_harness):
    batch = next(tiny_harness.pipeline.epoch(4))
    return Course(stepping(tiny.tiny, 5), Point.of(tiny_harness.trained), batch, tiny_harness.limit)


@pytest.fixture(scope="module")
def batches(tiny_harness):
    return list(tiny_harness.pipeline.epoch(4))


def beside_kink(batch, params, ulp):
    """`batch` with a first example that puts the unit so many ulp beside zero."""
    kernel, bias = params["hidden"]["kernel"], params["hidden"]["bias"]
    data = batch.data.copy()
    terms = np.append(data[0, :3].astype(np.float64) * kernel[:3, UNIT], bias[UNIT])
    data[0, 3] = np.float32((ulp * np.sqrt((terms**2).sum()) * 2.0**-23 - terms.sum()) / kernel[3, UNIT])
    return Batch(data, batch.labels)


def follow(course, batches, **trainings):
    follower = Follower(rewound(course), trainings)
    for batch in batches:
        follower.step(batch)
    return follower.followed



@pytest.fixture(scope="module")
def point(tiny_harness):
    return Point.of(tiny_harness.trained)


def kinked(course, batches, number, fault=lambda number, found: found):
    """Trainings on either side of a kink at a step, followed on batches that lead there."""
    before = [*course.alone(batches[: number - 1])]
    params = (before[-1][1] if before else course._begin).state.params
    near, far = (beside_kink(batches[number - 1], params, side * FAR) for side in (1, -1))
    shown = [*batches[: number - 1], near, *batches[number:]]
    beyond = InJax(course, course._begin, lambda now, batch: far if now == number else batch, fault)
    return follow(course, shown, near=InJax(course, course._begin), far=beyond)


def test_a_kink_ends_the_judging_with_a_note(course, batches):
    found = kinked(course, batches, 3)
    print(found["far"].kink, found["far"].departure, found["far"].scores)
    assert all(f.departure is None for f in found.values())
    assert found["near"].kink is None
    assert found["near"].judgements()[0] == judging.Judgement("trajectory", PASS)
    far = found["far"]
    assert far.kink == far.steps[2]
    assert far.judgements()[0] == judging.Judgement("trajectory", PASS, message=f"judged up to step 22: {kinks.NOTE}")
    assert {len(scores) for scores in far.scores.values()} == {2}
    assert len(far.steps) == len(far.losses) == 5


def test_a_first_step_at_a_kink_fails(course, batches):
    far = kinked(course, batches, 1)["far"]
    assert far.kink == far.steps[0]
    assert [j.message for j in far.judgements()] == ["no step could be judged: the first lies at a kink"]
    assert far.judgements()[0].status == FAIL
