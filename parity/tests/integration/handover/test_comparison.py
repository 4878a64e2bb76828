"""The comparison of trajectories: what is kept, kinks, and the budgets of squared gradients."""

import numpy as np
import pytest

from parity.cases.specs import Batch
from parity.cases.training import optimizer
from parity.core.errors import RuntimeFailureError
from parity.handover import LOSS, STAGES, stage
from parity.handover.reference import CompiledStep, ReferenceTrajectory, _of_squares
from parity.handover.train_state import TrainState, answer, stepping
from parity.handover.trajectory import compare
from parity.records import FAIL, MISSING, PASS
from parity.scoring import kinks, rules
from parity.scoring.rounding import with_rounding
from parity.scoring.rules import Budget
from parity.tests.support import tiny

pytestmark = pytest.mark.slow

UNIT, FAR = 3, 6.0
"""The unit that lies at a kink, and how far beside it in ulp: more than the ensemble sees, less than 16 ulp."""


class InJax:
    """A training that goes on in JAX by the reference's step, on batches that `seen` may change."""

    def __init__(self, reference, seen=lambda number, batch: batch, fault=lambda number, found: found):
        self._reference, self._state, self._number = reference, reference.begin, 0
        self._seen, self._fault = seen, fault

    def step(self, batch):
        self._number += 1
        found = self._reference.jax_step(self._state, self._seen(self._number, batch))
        self._state = TrainState.after(found)
        return self._fault(self._number, {leaf: np.asarray(array) for leaf, array in answer(found).items()})


@pytest.fixture(scope="module")
def reference(tiny_subject):
    batch, begin = next(tiny_subject.pipeline.epoch(4)), TrainState.of(tiny_subject.trained)
    step = CompiledStep(stepping(tiny.tiny, 5), begin, batch)
    return ReferenceTrajectory(step, begin, tiny_subject.limit_of("trajectory"))


@pytest.fixture(scope="module")
def batches(tiny_subject):
    return list(tiny_subject.pipeline.epoch(4))


def at_kink(batch, params, ulp):
    """`batch` with a first example that puts the unit so many ulp beside zero."""
    kernel, bias = params["hidden"]["kernel"], params["hidden"]["bias"]
    data = batch.data.copy()
    terms = np.append(data[0, :3].astype(np.float64) * kernel[:3, UNIT], bias[UNIT])
    data[0, 3] = np.float32((ulp * np.sqrt((terms**2).sum()) * 2.0**-23 - terms.sum()) / kernel[3, UNIT])
    return Batch(data, batch.labels)


def follow(reference, batches, **trainings):
    return compare(ReferenceTrajectory(reference.step, reference.begin, reference.limit), trainings, batches).outcomes


def kinked(reference, batches, number, fault=lambda number, found: found):
    """Trainings on either side of a kink at a step, followed on batches that lead there."""
    before = [*reference.jax_alone(batches[: number - 1])]
    params = (before[-1][1] if before else reference.begin).state.params
    near, far = (at_kink(batches[number - 1], params, side * FAR) for side in (1, -1))
    shown = [*batches[: number - 1], near, *batches[number:]]
    beyond = InJax(reference, lambda now, batch: far if now == number else batch, fault)
    return follow(reference, shown, near=InJax(reference), far=beyond)


def test_a_kink_ends_the_judging_with_a_note(reference, batches):
    found = kinked(reference, batches, 3)
    assert all(f.deviation is None for f in found.values())
    assert found["near"].kink is None
    assert found["near"].results()[0] == rules.LeafResult("trajectory", PASS)
    far = found["far"]
    assert far.kink == far.steps[2]
    whole = far.results()[0]
    assert (whole.leaf, whole.status) == ("trajectory", PASS)
    assert f"step {far.steps[1]}: {kinks.NOTE}" in whole.message
    assert {len(scores) for scores in far.scores.values()} == {2}
    assert len(far.steps) == len(far.losses) == 5


def test_a_first_step_at_a_kink_fails(reference, batches):
    far = kinked(reference, batches, 1)["far"]
    assert far.kink == far.steps[0]
    assert [(j.leaf, j.status) for j in far.results()] == [("trajectory", FAIL)]


@pytest.mark.parametrize("leaf", ["gradient/hidden/bias", "moments/0/mu/output", "parameters/hidden/kernel", "loss"])
def test_a_fault_beside_a_kink_fails(reference, batches, leaf):
    def fault(number, found):
        return found if number != 3 else {**found, leaf: found[leaf] * np.float32(1.001)}

    far = kinked(reference, batches, 3, fault)["far"]
    assert far.kink is None
    assert far.deviation.step == far.steps[2]
    assert far.deviation.stage == (LOSS if leaf == LOSS else "gradient")  # there it departs from this side of the kink


def test_after_a_deviation_nothing_is_put_down_to_a_kink(reference, batches):
    def fault(number, found):
        return found if number != 2 else {**found, LOSS: found[LOSS] * np.float32(1.001)}

    far = kinked(reference, batches, 3, fault)["far"]
    assert far.kink is None
    assert (far.deviation.step, far.deviation.stage) == (far.steps[1], LOSS)


def test_of_every_leaf_the_worst_up_to_the_deviation_is_kept(reference, batches):
    """Two faults on a rung, the second larger; and one on an earlier rung of a later step."""

    def fault(number, found):
        wrong = {2: ("parameters/output", 1.001), 3: ("parameters/output", 1.1), 4: (LOSS, 1.01)}.get(number)
        return {**found, wrong[0]: found[wrong[0]] * np.float32(wrong[1])} if wrong else found

    found = follow(reference, batches, unchanged=InJax(reference), wrong=InJax(reference, fault=fault))
    unchanged, wrong = found["unchanged"], found["wrong"]
    assert [len(scores) for scores in wrong.scores.values()] == [5] * len(STAGES)
    assert unchanged.deviation is None
    for name in STAGES:
        kept = [j.score for leaf, j in unchanged.worst.items() if stage(leaf) == name]
        assert max(kept, default=0.0) == max(unchanged.scores[name])
    assert wrong.deviation.step == wrong.steps[1]
    assert wrong.deviation.result.leaf == "parameters/output"
    assert wrong.worst["parameters/output"].score == wrong.scores["parameters"][1] < wrong.scores["parameters"][2]
    assert wrong.worst["parameters/output"].message.startswith("at step 22: score")
    assert [j.leaf for j in wrong.results() if j.status != PASS] == ["trajectory", "parameters/output"]


def test_the_first_stage_over_its_limit_is_named_even_if_a_later_one_scores_more(reference, batches):
    def fault(number, found):
        return {**found, "parameters/output": found["parameters/output"] * 2, LOSS: found[LOSS] * np.float32(1.001)}

    [wrong] = follow(reference, batches[:1], wrong=InJax(reference, fault=fault)).values()
    assert wrong.deviation.stage == LOSS


def test_a_leaf_that_is_missing_is_a_deviation(reference, batches):
    def fault(number, found):
        return {leaf: array for leaf, array in found.items() if leaf != "moments/0/mu/output"}

    [wrong] = follow(reference, batches[:1], wrong=InJax(reference, fault=fault)).values()
    assert (wrong.deviation.result.leaf, wrong.deviation.result.status) == ("moments/0/mu/output", MISSING)


def test_a_training_that_fails_is_left_behind(reference, batches):
    def fault(number, found):
        if number == 2:
            raise RuntimeFailureError("out of memory")
        return found

    found = follow(reference, batches, unchanged=InJax(reference), wrong=InJax(reference, fault=fault))
    assert str(found["wrong"]) == "out of memory"
    assert len(found["unchanged"].steps) == 5


SQUARES = "moments/0/nu/hidden/bias"
BIAS = "gradient/hidden/bias"


def with_noise(expected, rng, budgets_off):
    """JAX's answer with a gradient that is so many budgets off, and its square in the moment as Adam puts it there."""
    gradient, budget = expected.oracle[BIAS], expected.budgets[BIAS]
    noise = rng.normal(size=gradient.shape)
    noise *= budgets_off * min(budget.rms / np.sqrt((noise**2).mean()), budget.max / abs(noise).max())
    squares = expected.oracle[SQUARES] + 1e-3 * ((gradient + noise) ** 2 - gradient**2)
    return {**expected.jax, BIAS: (gradient + noise).astype(np.float32), SQUARES: squares.astype(np.float32)}


def judged(expected, answer, limit):
    return {j.leaf: j for j in rules.judge(answer, expected.jax, expected.oracle, expected.budgets, limit)}


def test_squares_of_nothing_but_rounding_may_be_off_as_much_as_the_gradient_allows_and_no_more(begun):
    reference = begun.reference
    expected, limit = reference.advance(begun.trajectories.setup.batches[0]), reference.limit
    size = np.sqrt((expected.oracle[BIAS] ** 2).mean())
    assert size < 10 * expected.budgets[BIAS].rms, "in front of a normalisation a gradient is nothing but rounding"
    rng = np.random.default_rng(0)
    for off in (0.5, 10, 0.9 * limit):
        found = judged(expected, with_noise(expected, rng, off), limit)
        assert found[BIAS].status == found[SQUARES].status == PASS, off
    found = judged(expected, with_noise(expected, rng, 3 * limit), limit)
    assert found[BIAS].status == found[SQUARES].status == FAIL


def test_squares_of_a_gradient_that_is_more_than_rounding_fail_as_anything_does(begun):
    expected = begun.reference.advance(begun.trajectories.setup.batches[0])
    for leaf in ("hidden/kernel", "norm/scale", "output"):
        square = f"moments/0/nu/{leaf}"
        found = judged(
            expected, {**expected.jax, square: expected.jax[square] * np.float32(1.001)}, begun.reference.limit
        )
        assert found[square].status == FAIL
        assert found[square].score > 1000


def test_a_moment_has_the_budget_of_its_own_parameter_even_where_another_ends_alike():
    """`w` is first among the gradients, and ends as `z/w` does."""
    small, large = np.full(3, 1e-9), np.full(3, 1.0)
    oracle = {"gradient/w": small, "gradient/z/w": large, "moments/0/nu/w": small**2, "moments/0/nu/z/w": large**2}
    budgets = {leaf: Budget(1e-9, 1e-9) for leaf in oracle}
    found = _of_squares(oracle, budgets, 128.0)
    assert found["moments/0/nu/w"].rms > 40e-9
    assert found["moments/0/nu/z/w"].rms < 1.001e-9


def test_a_parameter_that_is_not_used_costs_one_compilation_and_no_alarm(tiny_subject, batches, monkeypatch):
    """Its gradient is exactly zero in every member, so budgets are asked of rounding, at each step."""
    compiled = []

    def counted(*args, **named):
        compiled.append(args)
        return with_rounding(*args, **named)

    monkeypatch.setattr("parity.handover.reference.with_rounding", counted)
    trained = tiny_subject.trained
    params = {**trained.state.params, "unused": np.ones(3, np.float32)}
    update = optimizer(tiny.tiny.training, 5)
    begin = TrainState(trained.state._replace(params=params), update.init(params), np.int32(0))
    step = CompiledStep(stepping(tiny.tiny, 5), begin, batches[0])
    reference = ReferenceTrajectory(step, begin, tiny_subject.limit_of("trajectory"))
    [found] = follow(reference, batches[:3], unchanged=InJax(reference)).values()
    assert found.deviation is None
    assert found.worst["gradient/unused"].score == 0
    assert len(compiled) == 1
