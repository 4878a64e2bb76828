"""A right answer from the other side of a kink passes, and says so; whatever only looks like one does not."""

from dataclasses import replace

import numpy as np
import pytest

from parity.cases.case import Limit, State
from parity.records import FAIL, MISSING, PASS
from parity.runtimes.base import FixedAnswers
from parity.runtimes.subject import Subject
from parity.scoring import kinks
from parity.scoring.rules import LeafResult
from parity.tests.support import tiny
from parity.tests.support.scores import SIZE, results

UNIT = 3
FAR = 6.0
"""In ulp: beyond what the ensemble sees, and nearer than `kinks.SCALES` look."""


def at_a_kink(subject):
    """The trained state, with a bias that puts one unit of the first example a few ulp beside zero."""
    state = subject.trained.state
    terms = subject.batch(SIZE).data[0].astype(np.float64) * state.params["hidden"]["kernel"][:, UNIT]
    bias = state.params["hidden"]["bias"].copy()
    bias[UNIT] = np.float32(FAR * np.sqrt((terms**2).sum()) * 2.0**-23 - terms.sum())
    return with_bias(state, bias)


def with_bias(state, bias):
    return State({**state.params, "hidden": {**state.params["hidden"], "bias": bias}}, state.other, state.rng)


@pytest.fixture(scope="module")
def subject(tiny_subject):
    """The tiny subject, its state at a kink, where JAX and the oracle are opened anew."""
    trained, parts = tiny_subject.trained, tiny_subject.with_parts()
    moved = replace(trained, state=at_a_kink(parts))
    found = Subject(parts.case, parts.ledger, dataset=parts.dataset, trained=moved)
    yield found
    found.close()


def sides(subject):
    """The oracle's gradients a hair below and above the kink, as float32 answers with the oracle's own loss."""
    state, reference = subject.trained.state, subject.reference
    oracle = subject.kept(reference.oracle, "evaluate", SIZE)
    found = []
    for shift in (-2e-6, 2e-6):
        bias = state.params["hidden"]["bias"].astype(np.float64)
        bias[UNIT] += shift
        answers = reference.at(reference.oracle, with_bias(state, bias), "evaluate", subject.batch(SIZE))
        narrow = {leaf: array.astype(np.float32) for leaf, array in answers["eval_gradient"].items()}
        loss = {"loss": oracle["eval_loss"]["loss"].astype(np.float32)}
        found.append({"eval_loss": loss, "eval_gradient": narrow})
    return found


def judged(subject, answers, probe="eval_gradient"):
    answering = subject.with_runtimes({"tf_graph": FixedAnswers(subject.runtime("jax"), answers)})
    return results(answering, probe, "tf_graph")


def test_both_sides_of_a_kink_pass_and_the_far_one_says_so(subject):
    answers = sides(subject)
    both = [judged(subject, side) for side in answers]
    assert all(j.status == PASS for found in both for j in found), both
    noted = [sum(j.message == kinks.NOTE for j in found) for found in both]
    assert min(noted) == 0
    assert max(noted) > 0
    far = both[int(np.argmax(noted))]
    assert all(j.score < subject.limit_of("eval_gradient") for j in far)
    assert all(j.jax_score < subject.limit_of("eval_gradient") for j in far)


def test_what_is_infinite_stays_so_farther_away():
    near, moved = (np.array([1.0, np.inf, -np.inf, np.nan], np.float32) + np.float32([by, 0, 0, 0]) for by in (0, 0.5))
    with np.errstate(all="raise"):
        found = kinks.farther({"x": near}, {"x": moved}, -4.0)["x"]
    np.testing.assert_array_equal(found, [-1.0, np.inf, -np.inf, np.nan])


def far_side(subject):
    return max(sides(subject), key=lambda side: sum(j.message == kinks.NOTE for j in judged(subject, side)))


@pytest.mark.parametrize("leaf", ["hidden/bias", "hidden/kernel", "output"])
def test_a_fault_beside_the_kink_fails(subject, leaf):
    answers = far_side(subject)
    answers["eval_gradient"][leaf] = answers["eval_gradient"][leaf] * np.float32(1.001)
    assert any(j.status == FAIL for j in judged(subject, answers))


def test_a_jump_of_another_unit_fails(subject):
    near = min(sides(subject), key=lambda side: sum(j.message == kinks.NOTE for j in judged(subject, side)))
    far = far_side(subject)
    gradient = near["eval_gradient"]["hidden/bias"].copy()
    jump = far["eval_gradient"]["hidden/bias"] - gradient
    gradient[UNIT + 1] += jump[UNIT]
    near["eval_gradient"]["hidden/bias"] = gradient
    assert [j.leaf for j in judged(subject, near) if j.status == FAIL] == ["hidden/bias"]


def test_a_loss_that_moved_is_no_kink(subject):
    answers = far_side(subject)
    answers["eval_loss"]["loss"] = answers["eval_loss"]["loss"] * np.float32(1.001)
    assert all(j.status == FAIL for j in judged(subject, answers, "eval_loss"))
    assert any(j.status == FAIL for j in judged(subject, answers))


def test_where_there_is_no_kink_nothing_lies_beyond_one(subject_of):
    strict = Limit(10.0, "stricter than what 16 ulp move a smooth answer by")
    subject = subject_of(tiny.case(predict=smooth, loss=smooth_loss, limit=strict))
    assert list(subject.reference.beyond_kinks("evaluate", SIZE)) == []


def smooth(state, data):
    return data @ state[0]["hidden"]["kernel"] @ state[0]["output"]


def smooth_loss(params, other, rng, data, labels, train):
    return ((smooth((params, other), data) - labels) ** 2).mean() + (params["hidden"]["bias"] ** 2).sum(), other


@pytest.mark.parametrize(
    ("probe", "result", "possible"),
    [
        ("eval_gradient", LeafResult("a", FAIL, score=1e4), True),
        ("eval_gradient", LeafResult("a", FAIL, score=float("inf")), False),
        ("eval_gradient", LeafResult("a", FAIL, score=float("nan")), False),
        ("eval_gradient", LeafResult("a", FAIL), False),
        ("eval_gradient", LeafResult("a", MISSING), False),
        ("eval_loss", LeafResult("loss", FAIL, score=1e4), False),
        ("eval_gradient", LeafResult("a", PASS, score=1.0), False),
    ],
)
def test_only_finite_scores_of_gradients_alone_may_be_a_kink(probe, result, possible):
    assert kinks.possible({"predict": [LeafResult("output", PASS)], probe: [result]}) is possible
