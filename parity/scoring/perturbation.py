"""Random errors of one ulp: how inputs and parameters are moved to find kinks and ties near them."""

from __future__ import annotations

import math

import numpy as np

from parity.core.arrays import Array
from parity.scoring.compare import CHUNK, fraction_digits, is_float

TIE = 2.0**-20
"""In ulp: draws that lie so close to a half are rounded by the dtype itself."""


def perturb(array: Array, rng: np.random.Generator) -> Array:
    """Return `array` with a random error of at most one ulp of its dtype per element, finite values staying finite.

    Zeros, NaN, infinities and integers are unchanged; the parts of complex numbers are perturbed each.
    """
    if not is_float(array):
        return array
    if array.dtype.kind == "c":
        both = np.empty_like(array)
        both.real, both.imag = perturb(array.real, rng), perturb(array.imag, rng)
        return both
    result = np.empty(array.shape, array.dtype)
    flat, found = array.reshape(-1), result.reshape(-1)
    for start in range(0, flat.size, CHUNK):  # what a chunk needs stays in the cache, whatever the size of the array
        part = flat[start : start + CHUNK]
        found[start : start + CHUNK] = moved(part, rng.uniform(-1, 1, part.shape))
    return result


def moved(array: Array, draws: Array) -> Array:
    """Return numbers [n] with an error of `draws` [n] ulp, rounded.

    Neighbours of a number are equally far unless its fraction is zero; so a draw beyond a half moves it by one in its
    bits, which grow with its magnitude. All other numbers, and draws close to a half, are rounded.
    """
    bits = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}")
    digits = fraction_digits(array.dtype)
    largest = np.nextafter(np.array(math.inf, array.dtype), array.dtype.type(0)).view(bits.dtype)
    steps = np.rint(draws).astype(np.int8)
    steps *= 1 - 2 * (bits < 0).view(np.int8)
    special = (bits & ((1 << digits) - 1)) == 0
    special |= (bits & np.iinfo(bits.dtype).max) >= largest
    special |= np.abs(np.abs(draws) - 0.5) < TIE
    result = (bits + steps).view(array.dtype)
    result[special] = rounded(array[special], draws[special])
    return result


def rounded(array: Array, draws: Array) -> Array:
    """Return numbers [n] with an error of `draws` [n] ulp, rounded by their dtype."""
    infinity = np.array(math.inf, array.dtype)
    largest = np.nextafter(infinity, np.zeros_like(infinity))
    movable = np.isfinite(array) & (array != 0)
    start = np.where(movable, array, 0).astype(array.dtype)
    wide = start.astype(np.float64)
    with np.errstate(over="ignore"):  # beyond the largest number lies infinity, which is clipped
        below = np.maximum(np.nextafter(start, -infinity), -largest)
        above = np.minimum(np.nextafter(start, infinity), largest)
        ulp = np.where(above == start, wide - below, above - wide)
        result = np.asarray(wide + draws * ulp).astype(array.dtype)
    return np.where(movable, np.minimum(np.maximum(result, below), above), array)
