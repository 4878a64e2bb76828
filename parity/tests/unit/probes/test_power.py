"""Which weight tensors the power of a probe is measured with."""

from hypothesis import given
from hypothesis import strategies as st

from parity.probes.power import MOST_TENSORS, chosen

SIZES = st.lists(st.integers(1, 10**8), max_size=60).map(lambda found: {f"leaf_{i}": n for i, n in enumerate(found)})


@given(SIZES)
def test_a_bounded_number_of_tensors_is_chosen_in_their_order(sizes):
    found = chosen(sizes)
    assert len(found) == min(len(sizes), MOST_TENSORS)
    assert found == [name for name in sizes if name in found]
    assert found == chosen(sizes)


@given(SIZES.filter(bool))
def test_the_largest_the_smallest_the_first_and_the_last_are_among_them(sizes):
    found = chosen(sizes)
    assert {min(sizes.values()), max(sizes.values())} <= {sizes[name] for name in found}
    assert {next(iter(sizes)), list(sizes)[-1]} <= set(found)
