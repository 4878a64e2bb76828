"""Columns that differ by orders of magnitude are each held to a budget of their own; even ones are not."""

import numpy as np
import pytest

from parity import records
from parity.scoring.rules import Budget, Ensemble, judge

ROWS = 13
ULP = 2.0**-23


def answers(*scales):
    """The oracle, JAX's answer, and budgets of an output whose columns have these scales."""
    rng = np.random.default_rng(0)
    oracle = rng.uniform(0.5, 1.0, (ROWS, len(scales))) * scales

    def rounded():
        return {"output": (oracle * (1 + ULP * rng.uniform(-1, 1, oracle.shape))).astype(np.float32)}

    ensemble = Ensemble({"output": oracle}, by_column=True)
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
    assert budgets["output"].columns is None


def test_an_array_of_one_axis_has_no_columns():
    oracle = {"output": np.array([1e6, 1.0])}
    ensemble = Ensemble(oracle, by_column=True)
    ensemble.add({"output": np.array([1e6 + 1, 1.0], np.float32)})
    assert ensemble.budgets("")["output"].columns is None


def test_what_jax_itself_is_off_in_a_column_is_told():
    parts = answers(2e5, 0.5)
    off_in_jax = {"output": off(parts, 1, 1.01)}
    found = judged(parts[1]["output"], (parts[0], off_in_jax, parts[2]))
    assert (found.status, found.jax_score > 4.0) == (records.PASS, True)


def test_a_column_that_must_be_exact_is_held_to_that():
    oracle, jax, _ = answers(2e5, 0.0)
    ensemble = Ensemble(oracle, by_column=True)
    ensemble.add(jax)
    found = judged(jax["output"] + np.float32([0.0, 1e-9]), (oracle, jax, ensemble.budgets("")))
    assert found.status == records.FAIL


def test_values_that_are_not_finite_do_not_hide_a_column():
    oracle, jax, _ = answers(2e5, 0.5)
    oracle["output"][0, 1] = jax["output"][0, 1] = np.inf
    ensemble = Ensemble(oracle, by_column=True)
    ensemble.add({"output": jax["output"] * np.float32(1 + ULP)})
    parts = oracle, jax, ensemble.budgets("")
    assert judged(jax["output"], parts).status == records.PASS
    assert judged(off(parts, 1, 1.001), parts).status == records.FAIL
