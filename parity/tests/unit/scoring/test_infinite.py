"""Infinity and NaN that JAX, the oracle and a runtime agree on are parity; where they differ, the place is named."""

import math

import numpy as np
import pytest

from parity import records
from parity.scoring import accuracy
from parity.scoring.oracle import judge_oracle
from parity.scoring.rules import MEMBERS, Budget, Ensemble, judge

ULP = 2.0**-23
ROWS, CLASSES = 13, 6
INFINITE = (math.inf, -math.inf, math.nan)


def masked(value, in_parts=True, everywhere=False):
    """The oracle, JAX's answer and budgets of scores of which about a third is `value`, or all are."""
    rng = np.random.default_rng(0)
    oracle = rng.normal(size=(ROWS, CLASSES))
    oracle[(rng.uniform(size=oracle.shape) < 0.3) | everywhere] = value
    oracle[:, 1] = value

    def rounded():
        with np.errstate(over="ignore"):
            return {"scores": (oracle * (1 + ULP * rng.uniform(-1, 1, oracle.shape))).astype(np.float32)}

    ensemble = Ensemble({"scores": oracle}, in_parts=in_parts)
    for _ in range(MEMBERS):
        ensemble.add(rounded())
    return {"scores": oracle}, rounded(), ensemble.budgets("")


def judged(actual, parts):
    oracle, jax, budgets = parts
    [found] = judge({"scores": actual}, jax, oracle, budgets, 4.0)
    return found


def judged_oracle(parts, oracle=None, jax=None):
    own = {"scores": parts[0]["scores"] if oracle is None else oracle}
    other = {"scores": parts[1]["scores"] if jax is None else jax}
    [found] = judge_oracle(own, other, own, parts[2])
    return found


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def place(array, is_one):
    return tuple(int(i) for i in np.argwhere(is_one(array))[0])


@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize("value", INFINITE)
def test_the_same_infinity_in_all_is_parity_and_noted(value, in_parts):
    parts = masked(value, in_parts)
    for found in (judged(parts[1]["scores"], parts), judged_oracle(parts)):
        assert found.status == records.PASS
        assert math.isfinite(found.score)
        count = int((~np.isfinite(parts[0]["scores"])).sum())
        assert f"{count} of {ROWS * CLASSES} elements are {'NaN' if math.isnan(value) else 'infinite'}" in found.message


@pytest.mark.parametrize("value", INFINITE)
def test_what_is_finite_beside_an_infinity_is_measured(value):
    parts = masked(value)
    index = place(parts[0]["scores"], np.isfinite)
    found = judged(changed(parts[1]["scores"], index, parts[1]["scores"][index] + 1e-4), parts)
    assert (found.status, found.worst.index) == (records.FAIL, list(index))
    assert judged_oracle(parts, changed(parts[0]["scores"], index, 2.0)).max_abs_diff > 0.1
    off = {"scores": Budget(1.0, 1.0, bias=49.0)}
    assert judged_oracle((*parts[:2], off)).status == records.FAIL


@pytest.mark.parametrize("other", [math.inf, -math.inf, math.nan, -1e30])
@pytest.mark.parametrize("value", INFINITE)
def test_another_value_than_the_infinity_fails_at_its_place(value, other):
    if value == other or (math.isnan(value) and math.isnan(other)):
        return
    parts = masked(value)
    index = place(parts[0]["scores"], lambda a: ~np.isfinite(a))
    found = judged(changed(parts[1]["scores"], index, other), parts)
    assert (found.status, found.score, found.worst.index) == (records.FAIL, math.inf, list(index))


@pytest.mark.parametrize("value", INFINITE)
def test_an_oracle_that_is_infinite_where_jax_is_not_fails_at_its_place(value):
    parts = masked(math.inf)
    index = place(parts[0]["scores"], np.isfinite)
    found = judged_oracle(parts, changed(parts[0]["scores"], index, value))
    assert (found.status, found.worst.index) == (records.FAIL, list(index))
    assert found.worst.jax == parts[1]["scores"][index]


@pytest.mark.parametrize("value", INFINITE)
def test_where_no_element_is_finite_their_pattern_is_compared_and_noted(value):
    parts = masked(value, everywhere=True)
    found = judged(parts[1]["scores"], parts)
    assert (found.status, found.score) == (records.PASS, 0.0)
    assert "no element is finite" in found.message
    assert judged_oracle(parts).status == records.PASS
    assert judged(changed(parts[1]["scores"], (3, 2), 1.0), parts).status == records.FAIL


def test_float32_that_overflows_is_no_parity_and_the_oracle_is_right():
    oracle, jax, budgets = masked(1e39)
    assert np.isinf(jax["scores"]).any()
    found = judged(jax["scores"], (oracle, jax, budgets))
    assert (found.status, found.score, found.worst.oracle) == (records.FAIL, math.inf, 1e39)
    assert "more than float32 holds" in found.message
    assert judged_oracle((oracle, jax, budgets)).status == records.PASS


def test_masked_classes_leave_no_row_ambiguous():
    scores = np.array([[0.0, -np.inf, 0.5], [-np.inf] * 3, [1.0, 1.0, -np.inf], [-np.inf, 2.0, -np.inf]])
    with np.errstate(all="raise"):
        assert accuracy.ambiguous_rows(scores, Budget(0.0, 1e-6), 4.0) == 1


def test_an_oracle_that_is_finite_on_another_device_alone_fails():
    first, jax = np.array([np.inf, 1.0, 2.0]), np.array([np.inf, 1.0, 2.0 + 1e-6], np.float32)
    here, budgets = np.array([5.0, 1.0, 2.0]), {"output": Budget(1e-6, 1e-6)}
    for oracle, status in ((first, records.PASS), (here, records.FAIL)):
        [found] = judge_oracle({"output": oracle}, {"output": jax}, {"output": first}, budgets)
        assert found.status == status
