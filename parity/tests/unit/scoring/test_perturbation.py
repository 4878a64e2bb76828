"""Perturbed numbers are at most one ulp off, finite, and those that rounding each sum would give."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from parity.scoring.compare import compare
from parity.scoring.perturbation import moved, perturb, rounded

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@given(st.data(), st.sampled_from(DTYPES))
def test_perturb_rounds_as_the_dtype_does(data, dtype):
    kind = np.dtype(dtype)
    bits = data.draw(numbers.arrays(f"u{kind.itemsize}", 40))
    array, draws = bits.view(kind), data.draw(numbers.arrays(np.float64, 40, elements=st.floats(-1, 1)))
    expected, found = (f(array, draws) for f in (rounded, moved))
    np.testing.assert_array_equal(found.view(bits.dtype), expected.view(bits.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_and_the_edges_of_the_range_are_rounded(dtype):
    limits = ml_dtypes.finfo(dtype)
    edges = [2.0, 1.0, float(limits.tiny), float(limits.smallest_subnormal), float(limits.max)]
    array = np.repeat(np.array([*edges, *(-edge for edge in edges)], np.float64).astype(dtype), 101)
    draws = np.tile(np.linspace(-1, 1, 101), 10)
    expected, found = (f(array, draws) for f in (rounded, moved))
    np.testing.assert_array_equal(found.astype(np.float64), expected.astype(np.float64))


@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_perturb_moves_by_at_most_one_ulp(seed, dtype):
    rng = np.random.default_rng(seed)
    array = np.ldexp(rng.uniform(-2, 2, 1000), rng.integers(-10, 10, 1000)).astype(dtype)
    found = perturb(array, rng)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert compare(found, array, array.astype(np.float64)).max_ulp <= 1


def test_perturb_moves_float32_both_ways():
    array = np.linspace(1, 2, 1000, dtype=np.float32)
    found = perturb(array, np.random.default_rng(0))
    assert (found > array).sum() > 200
    assert (found < array).sum() > 200


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
def test_perturb_keeps_the_largest_numbers_finite(dtype):
    largest = np.full(1000, ml_dtypes.finfo(dtype).max, dtype)
    for array in (largest, -largest):
        found = perturb(array, np.random.default_rng(0))
        assert np.isfinite(found).all()
        assert (found != array).any()
        assert compare(found, array, array.astype(np.float64)).max_ulp == 1


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.bool_])
def test_perturb_leaves_integers(dtype):
    array = np.arange(5).astype(dtype)
    assert perturb(array, np.random.default_rng(0)) is array


def test_perturb_leaves_zero_and_what_is_not_finite():
    array = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(perturb(array, np.random.default_rng(0)), array)


def test_perturb_moves_each_part_by_at_most_one_ulp():
    array = (np.linspace(1, 2, 500) + 1j * np.linspace(-2, -1, 500)).astype(np.complex64)
    found = perturb(array, np.random.default_rng(0))
    assert found.dtype == array.dtype
    for one, other in ((found.real, array.real), (found.imag, array.imag)):
        assert (one != other).sum() > 200
        assert compare(one.copy(), other.copy(), other.astype(np.float64)).max_ulp <= 1
