"""Distances between arrays, in chunks that stay in the processor's cache.

Extra memory is a few chunks, whatever the size of the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce

import numpy as np

from parity.core.arrays import Array

# 64 Ki elements: the buffers of a chunk take 1.3 MiB. Measured on 50 million elements (2 cores): 8 Ki 0.42 s,
# 16 Ki 0.33 s, 32 Ki 0.29 s, 64 Ki 0.27 s, 128 Ki 0.27 s.
CHUNK = 1 << 16
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_WORKERS = 2
_DOT = 8192


@dataclass(frozen=True)
class Distance:
    """How far an array is from the oracle.

    Attributes:
        count: elements compared; where either side is not finite, none is.
        square_sum: sum of squared differences.
        max: largest absolute difference.
        argmax: flat index of that element; -1 if nothing differs.
    """

    count: int
    square_sum: float
    max: float
    argmax: int

    @property
    def rms(self) -> float:
        """Root mean square difference."""
        return math.sqrt(self.square_sum / self.count) if self.count else 0.0

    def __or__(self, other: Distance) -> Distance:
        worse = other if other.max > self.max else self
        return Distance(self.count + other.count, self.square_sum + other.square_sum, worse.max, worse.argmax)


@dataclass(frozen=True)
class Difference:
    """An answer against JAX's answer and the oracle.

    Attributes:
        actual: the answer's distance from the oracle.
        jax: JAX's distance from the oracle.
        max_abs: largest absolute difference between the answer and JAX's.
        max_ulp: the same in units in the last place of the answer's dtype, counted as representable numbers between;
            None for complex numbers.
        bits_equal: whether all bits agree.
        pattern: flat index of the first element where one of the two is NaN or infinite and the other is not, or not
            in the same way; -1 if the patterns agree.
    """

    actual: Distance
    jax: Distance
    max_abs: float
    max_ulp: int | None
    bits_equal: bool
    pattern: int

    def __or__(self, other: Difference) -> Difference:
        return Difference(
            self.actual | other.actual,
            self.jax | other.jax,
            max(self.max_abs, other.max_abs),
            None if self.max_ulp is None or other.max_ulp is None else max(self.max_ulp, other.max_ulp),
            self.bits_equal and other.bits_equal,
            self.pattern if self.pattern >= 0 else other.pattern,
        )


NOWHERE = Distance(0, 0.0, 0.0, -1)
_IDENTICAL = Difference(NOWHERE, NOWHERE, 0.0, 0, True, -1)


def fraction_digits(dtype: np.dtype) -> int:
    """Return the binary digits of the fraction of a float, and of the parts of a complex number: 23 of float32."""
    if dtype.kind in "fc":
        return int(np.finfo(dtype).nmant)
    import ml_dtypes

    return int(ml_dtypes.finfo(dtype).nmant)


def is_float(array: Array) -> bool:
    """Return whether `array` holds real or complex floating-point numbers; numpy's own test leaves out bfloat16."""
    return array.dtype.name in _FLOATS


def widen(array: Array) -> Array:
    """Return a float array in float64, a complex one in complex128."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def distance(actual: Array, oracle: Array) -> Distance:
    """Return the distance of `actual` from `oracle`, float arrays of equal shape; |a - b| of complex numbers.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape(actual, oracle)
    a, o = _flat(actual), _flat(oracle)
    buffer = np.empty(CHUNK)
    with _quiet():
        return reduce(Distance.__or__, (_distance(a[s], o[s], s.start, buffer) for s in _chunks(a.size)), NOWHERE)


def compare(actual: Array, jax: Array, oracle: Array) -> Difference:
    """Return all metrics of `actual` against `jax` (same dtype) and `oracle`, float arrays of equal shape.

    Raises:
        ValueError: shapes differ, or the dtypes of `actual` and `jax`.
    """
    _require_same_shape(actual, jax)
    _require_same_shape(actual, oracle)
    if actual.dtype != jax.dtype:
        raise ValueError(f"dtypes differ: {actual.dtype.name} and {jax.dtype.name}")
    a, j, o = _flat(actual), _flat(jax), _flat(oracle)
    size = a.size
    if size <= 8 * CHUNK:
        return _compare_range(a, j, o, 0, size)
    bounds = np.linspace(0, size, _WORKERS + 1, dtype=int)
    with ThreadPoolExecutor(_WORKERS) as pool:
        parts = pool.map(lambda i: _compare_range(a, j, o, int(bounds[i]), int(bounds[i + 1])), range(_WORKERS))
        return reduce(Difference.__or__, parts, _IDENTICAL)


def pattern(one: Array, other: Array) -> int:
    """Return the flat index of the first element where the patterns of NaN and infinity differ, -1 if they agree."""
    if one.dtype.kind == "c":
        parts = (pattern(one.real, other.real), pattern(one.imag, other.imag))
        return min((index for index in parts if index >= 0), default=-1)
    with _quiet():
        alike = (np.isfinite(one) & np.isfinite(other)) | (np.isnan(one) & np.isnan(other)) | (one == other)
    return -1 if alike.all() else int(np.argmin(alike))


def _quiet() -> np.errstate:
    """Return a context without numpy's warnings of NaN and overflow; it holds for one thread."""
    return np.errstate(invalid="ignore", over="ignore")


def _require_same_shape(one: Array, other: Array) -> None:
    if one.shape != other.shape:
        raise ValueError(f"shapes differ: {one.shape} and {other.shape}")


def _flat(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1)


def _chunks(stop: int, start: int = 0) -> Iterator[slice]:
    return (slice(i, min(i + CHUNK, stop)) for i in range(start, stop, CHUNK))


class _Buffers:
    """Room for one chunk, made once per thread."""

    def __init__(self, dtype: np.dtype) -> None:
        self.bits = np.dtype(f"i{dtype.itemsize}")
        self.floats = [np.empty(CHUNK) for _ in range(2)]
        self.ordered = [np.empty(CHUNK, self.bits) for _ in range(3)]


def _compare_range(a: Array, j: Array, o: Array, start: int, stop: int) -> Difference:
    if a.dtype.kind == "c":
        with _quiet():
            parts = (_compare_complex(a[s], j[s], o[s], s.start) for s in _chunks(stop, start))
            return reduce(Difference.__or__, parts, _IDENTICAL)
    buffers = _Buffers(a.dtype)
    with _quiet():
        parts = (_compare_chunk(a[s], j[s], o[s], s.start, buffers) for s in _chunks(stop, start))
        return reduce(Difference.__or__, parts, _IDENTICAL)


def _compare_chunk(a: Array, j: Array, o: Array, start: int, buffers: _Buffers) -> Difference:
    from_oracle, other = (buffer[: a.size] for buffer in buffers.floats)
    actual = _distance(a, o, start, from_oracle)
    bits_a, bits_j = a.view(buffers.bits), j.view(buffers.bits)
    flipped = np.bitwise_xor(bits_a, bits_j, out=buffers.ordered[0][: a.size])
    if not a.size or not flipped.any():
        return Difference(actual, actual, 0.0, 0, True, -1)
    same_signs = int(flipped.min()) >= 0
    jax = _distance(j, o, start, other)
    first = -1
    if actual.count < a.size or jax.count < a.size:
        a, j, bits_a, bits_j, first = _finite_part(a, j, buffers.bits, start)
    apart = np.subtract(a, j, out=other[: a.size], dtype=np.float64)
    ulp = _max_ulp(bits_a, bits_j, buffers, same_signs)
    return Difference(actual, jax, _max_abs(apart), ulp, False, first)


def _compare_complex(a: Array, j: Array, o: Array, start: int) -> Difference:
    buffer = np.empty(a.size)
    finite = np.isfinite(a) & np.isfinite(j)
    apart = np.abs(widen(a[finite]) - widen(j[finite]))
    first = pattern(a, j)
    return Difference(
        _distance(a, o, start, buffer),
        _distance(j, o, start, buffer),
        float(apart.max(initial=0.0)),
        None,
        a.tobytes() == j.tobytes(),
        start + first if first >= 0 else -1,
    )


def _max_abs(apart: Array) -> float:
    return max(float(apart.max()), -float(apart.min())) if apart.size else 0.0


def _finite_part(a: Array, j: Array, bits: np.dtype, start: int) -> tuple[Array, Array, Array, Array, int]:
    wide_a, wide_j = a.astype(np.float64), j.astype(np.float64)
    first = pattern(wide_a, wide_j)
    both = np.isfinite(wide_a) & np.isfinite(wide_j)
    a, j = a[both], j[both]
    return a, j, a.view(bits), j.view(bits), start + first if first >= 0 else -1


def _distance(a: Array, o: Array, start: int, buffer: Array) -> Distance:
    if "c" in (a.dtype.kind, o.dtype.kind):
        difference = np.abs(np.subtract(a, o, dtype=np.complex128), out=buffer[: a.size])
    else:
        difference = np.subtract(a, o, out=buffer[: a.size], dtype=np.float64)
    square_sum = _square_sum(difference)
    count, where = a.size, None
    if not math.isfinite(square_sum):
        finite = np.isfinite(a) & np.isfinite(o)
        where = np.flatnonzero(finite)
        difference = difference[finite]
        count, square_sum = difference.size, _square_sum(difference)
    if not count or (square_sum == 0.0 and not difference.any()):
        return Distance(count, square_sum, 0.0, -1)
    high, low = int(difference.argmax()), int(difference.argmin())
    worst = high if difference[high] >= -difference[low] else low
    index = worst if where is None else int(where[worst])
    return Distance(count, square_sum, abs(float(difference[worst])), start + index)


def _square_sum(difference: Array) -> float:
    """Return the sum of squares, in parts so small that OpenBLAS starts no threads, which wait under other load."""
    parts = (difference[i : i + _DOT] for i in range(0, difference.size, _DOT))
    return sum(float(part @ part) for part in parts)


def _max_ulp(a: Array, j: Array, buffers: _Buffers, same_signs: bool) -> int:
    if not a.size:
        return 0
    out, scratch = buffers.ordered[0][: a.size], buffers.ordered[1][: a.size]
    if same_signs:  # then the difference of the bits is that of the magnitudes, and cannot overflow
        apart = np.subtract(a, j, out=out)
        return max(int(apart.max()), -int(apart.min()))
    ordered_a = _ordered(a, out, scratch)
    ordered_j = _ordered(j, buffers.ordered[2][: a.size], scratch)
    larger = np.maximum(ordered_a, ordered_j, out=scratch)
    smaller = np.minimum(ordered_a, ordered_j, out=ordered_a)
    # Opposite signs overflow the signed dtype; unsigned, larger less smaller always fits.
    unsigned = f"u{buffers.bits.itemsize}"
    return int(np.subtract(larger.view(unsigned), smaller.view(unsigned), out=ordered_j.view(unsigned)).max())


def _ordered(bits: Array, out: Array, scratch: Array) -> Array:
    """Return integers in the order of the floats whose `bits` are given, neighbours one apart, -0 and +0 both 0.

    A float's bits are a sign and a magnitude (IEEE 754-2019, 3.4); two's complement is x for x >= 0, else
    -(x & magnitude).
    """
    width = 8 * bits.itemsize - 1
    sign = np.right_shift(bits, width, out=scratch)
    np.bitwise_and(bits, bits.dtype.type((1 << width) - 1), out=out)
    np.bitwise_xor(out, sign, out=out)
    return np.subtract(out, sign, out=out)
