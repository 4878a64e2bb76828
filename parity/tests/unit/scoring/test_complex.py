"""Complex answers are judged like real ones: by the magnitude of their difference, over a budget of the same kind."""

import math

import numpy as np
import pytest

from parity import records
from parity.scoring import accuracy, rules
from parity.scoring import compare as engine
from parity.scoring.compare import NOWHERE, Distance, compare, distance, pattern
from parity.scoring.oracle import judge_oracle
from parity.scoring.perturbation import perturb
from parity.scoring.rules import LIMIT, Budget, Ensemble, judge

RNG = np.random.default_rng(3)
INPUT = RNG.normal(size=(13, 8)).astype(np.float32)
NAN = complex(0.0, math.nan)


def spectrum(data, dtype=np.complex64):
    """Computed in the precision of `dtype`, by a matrix of the discrete Fourier transform."""
    angles = 2 * np.pi / 8 * np.outer(np.arange(8), np.arange(5))
    return {"spectrum": data.astype(dtype) @ np.exp(-1j * angles).astype(dtype)}


ORACLE = spectrum(INPUT, np.complex128)
JAX = spectrum(INPUT)
OTHER = {"spectrum": spectrum(INPUT[:, ::-1])["spectrum"].conj() * np.exp(-2j * np.pi / 8 * 7 * np.arange(5))}
OTHER["spectrum"] = OTHER["spectrum"].astype(np.complex64)


def budgets():
    ensemble = Ensemble(ORACLE)
    for member in range(rules.MEMBERS):
        ensemble.add(spectrum(perturb(INPUT, np.random.default_rng(member))))
    return ensemble.budgets("8 perturbed evaluations in numpy")


def verdict(actual, jax=JAX["spectrum"]):
    [found] = judge({"spectrum": actual}, {"spectrum": jax}, ORACLE, budgets(), LIMIT)
    return found


def moved(by, index=(5, 3)):
    array = OTHER["spectrum"].copy()
    array[index] += np.complex64(by)
    return array


def test_another_order_of_sums_passes():
    found = verdict(OTHER["spectrum"])
    assert not np.array_equal(OTHER["spectrum"], JAX["spectrum"])
    assert (found.status, found.bits_equal, found.max_ulp) == (records.PASS, False, None)
    assert 0 < found.score < 16
    assert 0 < found.max_abs_diff < 1e-5


@pytest.mark.parametrize("by", [1e-3, 1e-3j, -1e-3j])
def test_an_error_in_either_part_is_found(by):
    found = verdict(moved(by))
    assert (found.status, found.limit) == (records.FAIL, LIMIT)
    assert found.score > LIMIT > found.jax_score
    assert found.worst.index == [5, 3]
    assert found.worst.oracle == abs(ORACLE["spectrum"][5, 3])


def test_a_conjugate_fails():
    assert verdict(OTHER["spectrum"].conj()).score > LIMIT


@pytest.mark.parametrize("by", [math.nan, complex(0.0, math.nan), math.inf, complex(0.0, -math.inf)])
def test_the_pattern_of_nan_and_infinity_is_that_of_both_parts(by):
    found = verdict(moved(by))
    assert (found.status, found.score, found.worst.index) == (records.FAIL, math.inf, [5, 3])


def test_an_infinite_part_agrees_whatever_is_beside_it():
    assert pattern(np.array([complex(math.inf, 1.0)]), np.array([complex(math.inf, 1.1)])) == -1
    assert pattern(np.array([0, complex(math.inf, 1.0)]), np.array([0, complex(-math.inf, 1.0)])) == 1
    assert pattern(np.array([0, NAN]), np.array([0, complex(math.nan, 0.0)])) == 1


def test_the_distance_is_the_magnitude_of_the_difference():
    one, other = np.array([3 + 4j, 1]), np.array([0, 1 + 1j])
    assert distance(one, other) == Distance(2, 26.0, 5.0, 0)
    assert distance(one.astype(np.complex64), np.array([NAN, 1])) == Distance(1, 0.0, 0.0, -1)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_chunks_and_threads_change_nothing(monkeypatch, size):
    rng = np.random.default_rng(size)
    jax = rng.normal(size=(size, 2)).astype(np.float32).view(np.complex64)[:, 0]
    actual = jax + np.complex64(1e-3j) * (np.arange(size) == size // 2)
    whole = compare(actual, jax, jax.astype(np.complex128))
    monkeypatch.setattr(engine, "CHUNK", 8)
    parts = compare(actual, jax, jax.astype(np.complex128))
    assert (parts.actual.argmax, parts.max_abs, parts.pattern) == (whole.actual.argmax, whole.max_abs, whole.pattern)
    assert (parts.bits_equal, parts.jax.max) == (whole.bits_equal, whole.jax.max) == (size == 0, 0.0)
    assert whole.actual.argmax == (size // 2 if size else NOWHERE.argmax)


def test_an_oracle_of_complex_numbers_is_complex128():
    [found] = judge_oracle(ORACLE, JAX, ORACLE, budgets())
    assert found.status == records.PASS
    [narrow] = judge_oracle(JAX, JAX, JAX, budgets())
    [again] = judge_oracle({"spectrum": JAX["spectrum"].astype(np.complex128)}, JAX, ORACLE, budgets())
    assert narrow.status == again.status == records.FAIL


def test_complex_scores_have_no_ambiguous_rows():
    assert accuracy.ambiguous_rows(ORACLE["spectrum"], Budget(1.0, 1.0), LIMIT) == 0
