"""The comparison engine against a plain float64 implementation of the same words."""

import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.scoring import compare as engine
from parity.scoring.compare import NOWHERE, Difference, Distance, compare, distance, is_float

CHUNK = 8
THREADED = 8 * CHUNK + 1
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}
LARGE = (THREADED, THREADED + 2 * CHUNK + 1)
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, THREADED - 1, *LARGE)


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "CHUNK", CHUNK)
        yield


def bits_of(array):
    return np.dtype(f"i{array.dtype.itemsize}")


def any_bits(dtype, size):
    """Arrays of any bit patterns: every NaN, both infinities, both zeros and subnormal numbers among them."""
    kind = np.dtype(f"i{np.dtype(dtype).itemsize}")
    special = [np.array(v, dtype).view(kind).item() for v in (0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan)]
    limits = np.iinfo(kind)
    elements = st.sampled_from(special) | st.integers(int(limits.min), int(limits.max))
    return hnp.arrays(kind, size, elements=elements).map(lambda array: array.view(dtype))


@st.composite
def answers(draw, sizes=SIZES):
    """An answer, JAX's answer and the oracle, which differ in some elements."""
    dtype, size = draw(st.sampled_from([*DTYPES.values()])), draw(st.sampled_from(sizes))
    jax, noise, oracle = draw(any_bits(dtype, size)), draw(any_bits(dtype, size)), draw(any_bits(np.float64, size))
    moved, strayed = (draw(hnp.arrays(bool, size, fill=st.just(False))) for _ in range(2))
    steps = draw(hnp.arrays(np.int8, size, elements=st.integers(-3, 3), fill=st.just(0)))
    near = (jax.view(bits_of(jax)) ^ steps.astype(bits_of(jax))).view(dtype)
    return np.where(moved, noise, near), jax, np.where(strayed, oracle, jax.astype(np.float64))


def naive_distance(actual, oracle):
    a, o = actual.astype(np.float64).ravel(), oracle.astype(np.float64).ravel()
    finite = np.isfinite(a) & np.isfinite(o)
    apart = np.where(finite, np.abs(a - o), 0.0)
    return int(finite.sum()), float(np.sum(apart * apart)), float(apart.max(initial=0.0)), apart


def order(array):
    """Where each float stands among all floats, as Python's integers."""
    width = 8 * array.dtype.itemsize - 1
    bits = [int(b) for b in array.view(bits_of(array)).ravel()]
    return [b if b >= 0 else -(b + (1 << width)) for b in bits]


def naive_pattern(one, other):
    def kind(value):
        return value if math.isinf(value) else math.isnan(value)

    pairs = zip(one.astype(np.float64).ravel(), other.astype(np.float64).ravel(), strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if kind(a) != kind(b)), -1)


def assert_distance(found, actual, oracle):
    count, square_sum, largest, apart = naive_distance(actual, oracle)
    assert (found.count, found.max) == (count, largest)
    assert found.square_sum == pytest.approx(square_sum, rel=1e-12)
    assert (found.argmax >= 0) == (largest > 0)
    assert found.argmax < 0 or apart[found.argmax] == largest


@given(answers())
def test_distance_is_that_of_the_plain_implementation(arrays):
    actual, _, oracle = arrays
    assert_distance(distance(actual, oracle), actual, oracle)


@given(answers())
@example((np.float16([0, 6e-8]), np.float16([0, 0]), np.array([0, -1.7e308])))  # far from both
def test_compare_is_that_of_the_plain_implementation(arrays):
    actual, jax, oracle = arrays
    found = compare(actual, jax, oracle)
    assert_distance(found.actual, actual, oracle)
    assert_distance(found.jax, jax, oracle)
    finite = np.isfinite(actual) & np.isfinite(jax)
    steps = [abs(a - j) for a, j, ok in zip(order(actual), order(jax), finite, strict=True) if ok]
    assert found.max_abs == naive_distance(actual, jax)[2]
    assert found.max_ulp == max(steps, default=0)
    assert found.bits_equal == (actual.tobytes() == jax.tobytes())
    assert found.pattern == naive_pattern(actual, jax)


@given(answers(), st.integers(1, 3))
def test_the_layout_in_memory_changes_nothing(arrays, step):
    whole = compare(*arrays)
    spread = [np.repeat(a, step)[::step] for a in arrays]
    assert compare(*spread) == whole
    if arrays[0].size % 2 == 0:
        assert compare(*(np.asfortranarray(a.reshape(2, -1)) for a in arrays)) == whole


@given(answers(sizes=LARGE))
def test_threaded_and_single_threaded_comparisons_agree(arrays):
    single = engine._compare_range(*arrays, 0, arrays[0].size)
    threaded = compare(*arrays)
    for side, reference in (("actual", arrays[0]), ("jax", arrays[1])):
        one, two = getattr(threaded, side), getattr(single, side)
        assert (one.count, one.max) == (two.count, two.max)
        assert one.square_sum == pytest.approx(two.square_sum, rel=1e-12)
        assert_distance(one, reference, arrays[2])
    drop = {"actual": NOWHERE, "jax": NOWHERE}
    assert replace(threaded, **drop) == replace(single, **drop)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, CHUNK, THREADED + CHUNK])
def test_the_worst_element_is_found_wherever_it_is(dtype, size):
    jax = np.ones(size, DTYPES[dtype])
    oracle = np.ones(size)
    for index in range(size):
        actual = jax.copy()
        actual[index] = -2.0
        actual[index - 1] = 0.0 if size > 1 else -2.0
        found = compare(actual, jax, oracle)
        assert (found.actual.argmax, found.actual.max, found.max_abs) == (index, 3.0, 3.0)
        assert found.jax == Distance(size, 0.0, 0.0, -1)


@given(answers(sizes=SIZES[1:]), st.data())
def test_nothing_non_finite_is_counted(arrays, data):
    actual, jax, oracle = arrays
    index = data.draw(st.integers(0, actual.size - 1))
    actual, jax = actual.copy(), np.where(np.isfinite(jax), jax, np.array(1, jax.dtype))
    actual[index] = np.nan
    found = compare(actual, jax, oracle)
    assert found.actual.count <= actual.size - 1
    assert 0 <= found.pattern <= index


@pytest.mark.parametrize("dtype", DTYPES)
def test_nans_in_the_same_places_agree(dtype):
    jax = np.array([1, np.nan, np.inf, -np.inf, 2], DTYPES[dtype])
    actual = jax.copy()
    actual.view(bits_of(actual))[1] ^= 1
    actual[4] = 3
    found = compare(actual, jax, jax.astype(np.float64))
    assert (found.pattern, found.bits_equal, found.max_abs) == (-1, False, 1.0)
    assert found.actual == Distance(2, 1.0, 1.0, 4)


@pytest.mark.parametrize("value", [0.0, np.nan, -np.inf])
def test_infinity_agrees_only_with_itself(value):
    jax = np.array([1, 2, np.inf], np.float32)
    actual = np.array([1, 2, value], np.float32)
    assert compare(actual, jax, jax.astype(np.float64)).pattern == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_two_zeros_differ_in_bits_alone(dtype):
    zero = np.zeros(3, DTYPES[dtype])
    found = compare(-zero, zero, np.zeros(3))
    assert found == Difference(Distance(3, 0.0, 0.0, -1), Distance(3, 0.0, 0.0, -1), 0.0, 0, False, -1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_empty_arrays_are_equal_and_count_nothing(dtype, shape):
    empty = np.zeros(shape, DTYPES[dtype])
    assert compare(empty, empty, empty.astype(np.float64)) == Difference(NOWHERE, NOWHERE, 0.0, 0, True, -1)
    assert distance(empty, empty).rms == 0.0


def test_a_scalar_compares():
    found = compare(np.float32(3) + np.zeros((), np.float32), np.ones((), np.float32), np.ones(()))
    assert (found.actual, found.max_abs) == (Distance(1, 4.0, 2.0, 0), 2.0)


def ulp(one, other):
    return compare(one, other, one.astype(np.float64)).max_ulp


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_neighbours_are_one_ulp_apart(dtype, data):
    one = data.draw(any_bits(DTYPES[dtype], 1))
    above = np.nextafter(one, np.full(1, np.inf, one.dtype))
    assume(np.isfinite(one).all() and np.isfinite(above).all())
    assert ulp(one, above) == 1
    assert ulp(above, one) == 1


@given(answers())
def test_ulp_is_symmetric_and_zero_only_for_equal_numbers(arrays):
    one, other, _ = arrays
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    assert ulp(one, other) == ulp(other, one)
    assert (ulp(one, other) == 0) == bool((one == other).all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_ulp_distance_does_not_overflow(dtype):
    largest = np.array([ml_dtypes.finfo(DTYPES[dtype]).max], DTYPES[dtype])
    assert ulp(largest, -largest) == 2 * order(largest)[0]


def test_the_smallest_difference_is_seen():
    """Its square is zero in float64."""
    assert distance(np.zeros(3), np.array([0.0, 1e-200, 0.0])) == Distance(3, 0.0, 1e-200, 1)


@example(1.7e308)
@given(st.floats(1e155, 1.7e308))
def test_the_largest_difference_is_seen(value):
    """Its square, and the difference itself, overflow in float64."""
    found = distance(np.array([value, 1.0]), np.array([-value, 0.0]))
    assert (found.count, found.max, found.argmax) == (2, 2 * value, 0)
    assert found.rms == math.inf


@pytest.mark.filterwarnings("error")
@given(answers())
def test_no_value_makes_numpy_warn(arrays):
    compare(*arrays)
    distance(arrays[0], arrays[2])


def test_unlike_arrays_are_refused():
    one = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="shapes differ"):
        compare(one, one, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="shapes differ"):
        compare(one, np.zeros(4, np.float32), np.zeros(3))
    with pytest.raises(ValueError, match="shapes differ"):
        distance(one, np.zeros(1))
    with pytest.raises(ValueError, match="dtypes differ: float32 and float16"):
        compare(one, one.astype(np.float16), np.zeros(3))


@pytest.mark.parametrize("dtype", [*DTYPES.values(), np.int32, np.uint32, np.bool_])
def test_floats_are_told_from_exact_dtypes(dtype):
    assert is_float(np.zeros(1, dtype)) == (dtype in DTYPES.values())
