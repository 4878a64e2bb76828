"""Sizes that are not fixed: what constraints allow, which values are asked, and slices along their axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.cases import symbols
from parity.cases.case import Case
from parity.cases.specs import Batch, Spec
from parity.core.errors import CaseError


def case(*constraints, data=None, values=None):
    return Case(
        "mine", None, print, None, data or {"x": Spec("t", "b", 4), "y": Spec("b", "s")}, None, None,
        probes=("predict",), constraints=constraints, symbols=values or {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("constraint", "sizes", "holds"),
    [
        ("t >= 8", {"t": 8}, True),
        ("t >= 8", {"t": 7}, False),
        ("mod(t, 4) == 0", {"t": 12}, True),
        ("mod(t, 4) == 0", {"t": 13}, False),
        ("2*t + 1 <= s - 3", {"t": 3, "s": 10}, True),
        ("2*t + 1 <= s - 3", {"t": 4, "s": 10}, False),
        ("floordiv(t, 2) == -1 + max(s, 3)", {"t": 5, "s": 1}, True),
    ],
)
def test_a_constraint_holds_as_it_reads(constraint, sizes, holds):
    assert (symbols.violated([constraint], sizes) is None) is holds


@pytest.mark.parametrize(
    "constraint",
    [
        "",
        "t",
        "t > 8",
        "8 <= t <= 9",
        "t == 'a'",
        "t / 2 == 1",
        "t.bit_length() == 3",
        "open('x') == 1",
        "mod(t) == 0",
        3,
    ],
)
def test_what_is_no_constraint_is_refused(constraint):
    with pytest.raises(CaseError, match="constraint"):
        symbols.violated([constraint], {"t": 8})


def test_a_constraint_about_a_size_that_no_spec_has_is_refused():
    with pytest.raises(CaseError, match="names 'u', which is no size"):
        symbols.violated(["u >= 8"], {"t": 8})


def test_one_smaller_value_of_each_size_is_asked_and_again_the_same():
    assert symbols.names(case()) == ("s", "t")
    assert symbols.variants(case(), {"b": 60, "t": 16, "s": 32}) == [{"s": 15, "t": 7}]
    assert symbols.variants(case("mod(t, 4) == 0", "s >= 30"), {"b": 60, "t": 16, "s": 32}) == [{"s": 31, "t": 8}]
    assert symbols.variants(case("s >= t"), {"b": 60, "t": 16, "s": 16}) == [{"s": 7, "t": 7}]
    assert symbols.variants(case("t == 16"), {"b": 60, "t": 16, "s": 1}) == []
    assert symbols.variants(case("s == t"), {"b": 60, "t": 16, "s": 16}) == [{"s": 7, "t": 7}]


def test_given_values_are_asked_one_by_one():
    found = symbols.variants(case(values={"t": (8, 16, 3)}), {"b": 60, "t": 16, "s": 4})
    assert found == [{"t": 8}, {"t": 3}, {"s": 1}]


@pytest.mark.parametrize(
    ("constraints", "values", "text"),
    [
        (("t >= 32",), {}, "t=16 of the examples does not satisfy the constraint 't >= 32'"),
        (("t >= 4",), {"t": (2,)}, "t=2, which does not satisfy the constraint 't >= 4'"),
        ((), {"t": (31,)}, "t=31, and the examples have 16"),
        ((), {"u": (3,)}, "no size 'u' of the specs"),
    ],
)
def test_sizes_that_are_not_allowed_are_refused(constraints, values, text):
    with pytest.raises(CaseError, match=text):
        symbols.require_allowed(case(*constraints, data={"x": Spec("b", "t")}, values=values), {"b": 60, "t": 16})


@pytest.mark.parametrize("values", [{"b": (3,)}, {"t": (0,)}, {"t": ("8",)}, {"t": (True,)}])
def test_values_are_whole_numbers_for_sizes_other_than_the_batch_size(values):
    with pytest.raises(CaseError, match="symbols has"):
        case(values=values)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True), st.integers(1, 999), max_size=3))
def test_sizes_are_read_as_they_are_written(sizes):
    assert symbols.read(symbols.written(sizes)) == sizes


@pytest.mark.parametrize("variant", ["", "padding", "adam-carried", "float64_answer"])
def test_other_variants_name_no_sizes(variant):
    assert symbols.read(variant) == {}


@st.composite
def batches(draw):
    """Arrays that fill specs with "b", "t" and "s" at any place, and their specs."""
    sizes = {name: draw(st.integers(1, 5)) for name in "bts"}
    dimensions = st.lists(st.sampled_from(["b", "t", "s", 1, 3]), max_size=4, unique=True)
    specs = {f"x{i}": Spec(*draw(dimensions)) for i in range(draw(st.integers(1, 3)))} | {"first": Spec("t", "b")}
    arrays = {
        name: np.arange(np.prod(spec.sized(sizes), dtype=int)).reshape(spec.sized(sizes))
        for name, spec in specs.items()
    }
    return Batch(arrays, {}, (specs, {})), sizes


@given(batches(), st.data())
def test_a_slice_has_the_named_sizes_and_the_start_of_every_array(made, data):
    batch, sizes = made
    wanted = {name: data.draw(st.integers(1, sizes[name])) for name in data.draw(st.sets(st.sampled_from("ts")))}
    found = batch.sliced(wanted)
    assert batch.sizes.items() <= sizes.items()
    for name, spec in batch.specs[0].items():
        array = found.data[name]
        assert array.shape == spec.sized({**sizes, **wanted})
        assert np.array_equal(array, batch.data[name][tuple(map(slice, array.shape))])


@given(batches(), st.data())
def test_rows_are_taken_along_the_batch_wherever_it_stands(made, data):
    batch, sizes = made
    chosen = data.draw(st.permutations(range(sizes["b"])))
    found = batch.rows(np.array(chosen))
    assert found.size == batch.size == sizes["b"]
    for name, spec in batch.specs[0].items():
        axis = spec.axis()
        expected = batch.data[name] if axis is None else np.take(batch.data[name], chosen, axis)
        assert np.array_equal(found.data[name], expected)
