"""Every variable of a loaded model is JAX's own, to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from parity.probes.state import compare
from parity.records import FAIL, PASS
from parity.runtimes.base import Variable

KERNEL = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
STATE = {
    "Conv_0/kernel": Variable(KERNEL, True),
    "Conv_0/bias": Variable(np.zeros(4, np.float32), True),
    "BatchNorm_0/mean": Variable(np.ones(4, np.float32), False),
    "key": Variable(np.array([0, 7], np.uint32), False),
}


def off_in_the_last_bit(array, index=0):
    found = array.copy()
    found.reshape(-1).view(np.uint8)[index * array.itemsize] ^= 1
    return found


DEFECTS = {
    "the last bit of one weight": ("Conv_0/kernel", lambda v: v._replace(value=off_in_the_last_bit(v.value, 5))),
    "the key": ("key", lambda v: v._replace(value=off_in_the_last_bit(v.value))),
    "minus zero": ("Conv_0/bias", lambda v: v._replace(value=-v.value)),
    "another dtype": ("Conv_0/kernel", lambda v: v._replace(value=v.value.astype(np.float64))),
    "a transposed kernel": ("Conv_0/kernel", lambda v: v._replace(value=v.value.T)),
    "a flat kernel": ("Conv_0/kernel", lambda v: v._replace(value=v.value.reshape(-1))),
    "not trainable": ("Conv_0/kernel", lambda v: v._replace(trainable=False)),
    "trainable statistics": ("BatchNorm_0/mean", lambda v: v._replace(trainable=True)),
    "NaN": ("BatchNorm_0/mean", lambda v: v._replace(value=np.full(4, np.nan, np.float32))),
}


def failed(found):
    return {result.leaf for result in found if result.status == FAIL}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_in_one_variable_fails_that_variable_alone(name):
    leaf, change = DEFECTS[name]
    found = compare({**STATE, leaf: change(STATE[leaf])}, STATE)
    assert failed(found) == {leaf}
    assert len(found) == len(STATE)
    [message] = [result.message for result in found if result.status == FAIL]
    assert "\n" not in message


def test_the_first_value_that_is_off_is_named():
    changed = {**STATE, "Conv_0/kernel": Variable(off_in_the_last_bit(KERNEL, 5), True)}
    [message] = [result.message for result in compare(changed, STATE) if result.message]
    assert "1 of 12" in message
    assert "[1, 1]" in message


def test_two_leaves_that_are_exchanged_both_fail():
    exchanged = {**STATE, "Conv_0/bias": STATE["BatchNorm_0/mean"], "BatchNorm_0/mean": STATE["Conv_0/bias"]}
    assert failed(compare(exchanged, STATE)) == {"Conv_0/bias", "BatchNorm_0/mean"}


@pytest.mark.parametrize(("found", "expected"), [({}, STATE), (STATE, {})])
def test_a_variable_that_one_of_the_two_lacks_fails(found, expected):
    assert failed(compare(found, expected, "inference/")) == {f"inference/{leaf}" for leaf in STATE}


@given(arrays.arrays(st.sampled_from(["f2", "f4", "f8", "c8", "i4", "u1", "?"]), arrays.array_shapes(min_dims=0)))
def test_whatever_a_variable_holds_it_equals_itself(value):
    state = {"a": Variable(value, True)}
    assert [result.status for result in compare(state, {"a": Variable(value.copy(), True)})] == [PASS]


@given(st.data())
def test_any_other_byte_is_found(data):
    value = data.draw(arrays.arrays(st.sampled_from(["f2", "f4", "f8"]), arrays.array_shapes(max_dims=3)))
    changed = value.copy()
    place = data.draw(st.integers(0, value.nbytes - 1))
    changed.reshape(-1).view(np.uint8)[place] ^= data.draw(st.integers(1, 255))
    assert failed(compare({"a": Variable(changed, True)}, {"a": Variable(value, True)})) == {"a"}
