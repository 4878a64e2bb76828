"""Columns and numbers beside a mask that differ by orders of magnitude have budgets of their own; even ones do not."""

import numpy as np
import pytest

from parity import records
from parity.scoring import accuracy
from parity.scoring.oracle import BIAS_LIMIT
from parity.scoring.parts import allowed, partitions
from parity.scoring.rules import Budget, Ensemble, judge, score_of

ROWS = 13
ULP = 2.0**-23


def answers(*scales):
    """The oracle, JAX's answer, and budgets of an output whose columns have these scales."""
    rng = np.random.default_rng(0)
    oracle = rng.uniform(0.5, 1.0, (ROWS, len(scales))) * scales

    def rounded():
        return {"output": (oracle * (1 + ULP * rng.uniform(-1, 1, oracle.shape))).astype(np.float32)}

    ensemble = Ensemble({"output": oracle}, in_parts=True)
    for _ in range(8):
        ensemble.add(rounded())
    return {"output": oracle}, rounded(), ensemble.budgets("")


def judged(actual, parts):
    oracle, jax, budgets = parts
    [found] = judge({"output": actual}, jax, oracle, budgets, 4.0)
    return found


def off(parts, column, factor):
    actual = parts[1]["output"].copy()
    actual[:, column] *= np.float32(factor)
    return actual


@pytest.mark.parametrize(("scales", "column"), [((2e5, 0.5), 1), ((1.0, 1e-6, 1.0), 1), ((3.0, 1e9, 1e-3, 2.0), 2)])
def test_an_error_in_a_small_column_is_seen_beside_a_large_one(scales, column):
    parts = answers(*scales)
    assert judged(parts[1]["output"], parts).status == records.PASS
    found = judged(off(parts, column, 1 + 1e-5), parts)
    assert found.status == records.FAIL
    assert found.worst.index[1] == column
    without = {leaf: Budget(budget.rms, budget.max) for leaf, budget in parts[2].items()}
    assert judged(off(parts, column, 1 + 1e-5), (*parts[:2], without)).status == records.PASS


def test_even_columns_have_one_budget():
    *_, budgets = answers(1.0, 2.0, 0.5)
    assert budgets["output"].parts == ()


def test_an_array_of_one_axis_has_no_columns():
    oracle = {"output": np.array([1e3, 1.0])}
    ensemble = Ensemble(oracle, in_parts=True)
    ensemble.add({"output": np.array([1e3 + 1, 1.0], np.float32)})
    assert ensemble.budgets("")["output"].parts == ()


def test_what_jax_itself_is_off_in_a_column_is_told():
    parts = answers(2e5, 0.5)
    off_in_jax = {"output": off(parts, 1, 1.01)}
    found = judged(parts[1]["output"], (parts[0], off_in_jax, parts[2]))
    assert (found.status, found.jax_score > 4.0) == (records.PASS, True)


def test_a_column_that_must_be_exact_is_held_to_that():
    oracle, jax, _ = answers(2e5, 0.0)
    ensemble = Ensemble(oracle, in_parts=True)
    ensemble.add(jax)
    found = judged(jax["output"] + np.float32([0.0, 1e-9]), (oracle, jax, ensemble.budgets("")))
    assert found.status == records.FAIL


def test_values_that_are_not_finite_do_not_hide_a_column():
    oracle, jax, _ = answers(2e5, 0.5)
    oracle["output"][0, 1] = jax["output"][0, 1] = np.inf
    ensemble = Ensemble(oracle, in_parts=True)
    ensemble.add({"output": jax["output"] * np.float32(1 + ULP)})
    parts = oracle, jax, ensemble.budgets("")
    assert judged(jax["output"], parts).status == records.PASS
    assert judged(off(parts, 1, 1.001), parts).status == records.FAIL


MASKS = {"added": -1e9, "chosen": -3e38, "positive": 1e6, "small": -1e4}


def masked(value, share=0.4, oracle_off=0.0, dtype=np.float32):
    """The same as `answers` of numbers about 1, of which a share is masked by data, so that all columns are alike."""
    rng = np.random.default_rng(1)
    right = rng.normal(size=(ROWS, 6))
    hidden = rng.uniform(size=right.shape) < share
    right[hidden] = value * (1 + 1e-9 * right[hidden])
    oracle = np.where(hidden, right, right * (1 + oracle_off))

    def rounded():
        return {"output": (right * (1 + ULP * rng.uniform(-1, 1, right.shape))).astype(dtype)}

    ensemble = Ensemble({"output": oracle}, in_parts=True)
    for _ in range(8):
        ensemble.add(rounded())
    return ({"output": oracle}, rounded(), ensemble.budgets("")), hidden


@pytest.mark.parametrize("name", MASKS)
def test_an_error_beside_a_mask_is_seen(name):
    parts, hidden = masked(MASKS[name])
    assert judged(parts[1]["output"], parts).status == records.PASS
    off_by_little = np.where(hidden, parts[1]["output"], parts[1]["output"] * np.float32(1 + 1e-5))
    found = judged(off_by_little, parts)
    assert (found.status, hidden[tuple(found.worst.index)]) == (records.FAIL, False)
    without = {"output": Budget(parts[2]["output"].rms, parts[2]["output"].max)}
    assert judged(off_by_little, (*parts[:2], without)).status == records.PASS
    assert score_of(off_by_little, parts[0]["output"], parts[2]["output"]) == found.score


def test_an_error_of_the_mask_itself_is_held_to_the_budget_of_the_mask():
    parts, hidden = masked(-1e9)
    for by, status in ((64, records.PASS), (6400, records.FAIL)):
        off_in_mask = np.where(hidden, parts[1]["output"] + np.float32(by), parts[1]["output"])
        assert judged(off_in_mask, parts).status == status


def test_an_oracle_that_is_off_in_the_small_part_does_not_lie_where_the_ensemble_does():
    (_, _, budgets), _ = masked(-1e9, oracle_off=0.05)
    assert budgets["output"].bias > BIAS_LIMIT
    (_, _, budgets), _ = masked(-1e9)
    assert budgets["output"].bias < 4


def test_numbers_of_all_magnitudes_are_no_mask():
    rng = np.random.default_rng(0)
    for oracle in (
        rng.normal(size=(13, 40)), np.exp(20 * rng.normal(size=(13, 40))), np.zeros((13, 40)), np.ones((13, 40)),
        np.where(rng.uniform(size=(13, 40)) < 0.1, 1e-12, rng.uniform(9, 19, (13, 40))),
        np.where(rng.uniform(size=(13, 40)) < 0.5, 0.0, rng.uniform(9, 19, (13, 40))),
    ):  # fmt: skip
        assert [p.edges for p in partitions(oracle)] == [()]
    assert [p.count for p in partitions(np.float64([-1e9, -2e9, 1.0, 3.0, np.inf, np.nan, -1e30]))] == [3]


def test_what_float32_lost_of_a_number_gets_no_budget_of_its_own():
    """Logarithms of probabilities next to 1 are 0 in every evaluation; another may have one ulp of 1."""
    oracle = {"output": np.array([[-1e-12, -25.0], [-3e-13, -27.0]])}
    ensemble = Ensemble(oracle, in_parts=True)
    for shift in (-1e-6, 0.0, 1e-6):
        ensemble.add({"output": np.array([[0.0, -25.0 + shift], [0.0, -27.0]], np.float32)})
    budget = ensemble.budgets("")["output"]
    assert budget.bias < 4
    actual = {"output": np.array([[-6e-8, -25.0], [0.0, -27.0]], np.float32)}
    [found] = judge(actual, {"output": np.float32(oracle["output"])}, oracle, {"output": budget}, 4.0)
    assert found.status == records.PASS


def test_numbers_that_float32_flushes_to_zero_get_no_budget_of_their_own():
    parts = answers(1.0, 1e-40)
    assert parts[2]["output"].parts == ()


def test_ambiguous_rows_are_counted_by_the_budget_of_their_scores():
    scores = np.array([[1.0, 0.9, -1e9], [0.5, 0.5, -1e9], [2.0, -1e9, -1e9]])
    parts, _ = masked(-1e9)
    budget = parts[2]["output"]
    assert accuracy.ambiguous_rows(scores, budget, 4.0) == 1
    assert accuracy.ambiguous_rows(scores, Budget(budget.rms, budget.max), 4.0) == 2
    error = allowed(scores, budget.max, budget.parts)
    assert (error[scores < 0] == budget.max).all()
    assert (error[scores > 0] < 1e-6).all()


@pytest.mark.parametrize("columns", [1000, 4000])
def test_a_column_of_one_number_is_held_to_the_errors_of_all_like_it(columns):
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(60):
        oracle = {"output": rng.uniform(0.5, 1.0, (1, columns)) * (np.arange(columns) > 0)}
        members = [
            {"output": (oracle["output"] * (1 + ULP * rng.normal(size=(1, columns)))).astype(np.float32)}
            for _ in range(9)
        ]
        ensemble = Ensemble(oracle, in_parts=True)
        for member in members[1:]:
            ensemble.add(member)
        scores.append(score_of(members[0]["output"], oracle["output"], ensemble.budgets("")["output"]))
    assert max(scores) < 2
