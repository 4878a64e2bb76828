"""Integers that differ at a boundary of the oracle pass; those that it never has, and other dtypes, fail."""

import numpy as np
import pytest

from parity.records import FAIL, PASS
from parity.scoring import ties
from parity.scoring.rules import LIMIT, judge_exact

JAX = np.array([[0, 3, 7], [1, 1, 2]], np.int32)
NEAR = [JAX, np.array([[0, 3, 6], [1, 1, 2]], np.int32), np.array([[0, 4, 7], [1, 1, 2]], np.int32)]


def changed(**elements):
    found = JAX.copy()
    for place, value in elements.items():
        found[int(place[1]), int(place[2])] = value
    return found


def verdict(own):
    result = judge_exact("leaf", own, JAX, JAX, LIMIT)
    assert ties.possible(result, {"leaf": own}, {"leaf": JAX}) == (result.status == FAIL)
    return ties.explained(result, own, JAX, iter(NEAR)) if result.status == FAIL else result


def test_inputs_are_moved_by_one_ulp_and_by_the_limit_in_both_directions():
    found = ties.rays(LIMIT)
    assert {1.0, LIMIT} <= set(found)
    assert sorted(found) == sorted(-ulp for ulp in found)


@pytest.mark.parametrize("elements", [{}, {"_02": 6}, {"_01": 4}, {"_02": 6, "_01": 4}])
def test_a_value_that_the_oracle_has_nearby_passes(elements):
    found = verdict(changed(**elements))
    assert (found.status, found.score) == (PASS, float(bool(elements)))
    assert (found.message is None) == (not elements)


@pytest.mark.parametrize("elements", [{"_02": 5}, {"_12": 6}, {"_02": 6, "_00": 1}])
def test_a_value_that_it_never_has_there_fails(elements):
    found = verdict(changed(**elements))
    assert (found.status, found.score) == (FAIL, np.inf)


@pytest.mark.parametrize("own", [JAX.astype(np.int64), JAX[:1], JAX.astype(np.float32), None])
def test_other_dtypes_and_shapes_are_no_ties(own):
    failed = judge_exact("leaf", changed(_00=9), JAX, JAX, LIMIT)
    assert not ties.possible(failed, {} if own is None else {"leaf": own}, {"leaf": JAX})
