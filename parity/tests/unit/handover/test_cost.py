"""What a hand-over costs: its laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.handover.cost import handover_cost

losses = st.lists(st.floats(0.01, 10), min_size=3, max_size=30)
EPOCH = [1.0, 3.0]
"""The losses of the last epoch before; their mean is 2."""


def of(alone, mine, before=EPOCH):
    return handover_cost("tiny", "restarted", 10, before, alone, mine)


@given(losses, losses)
def test_equal_losses_cost_nothing(before, alone):
    found = of(alone, alone, before)
    assert (found.height, found.after, found.recovered_after, found.end) == (0, 0, 0, 1)
    assert (found.step, found.steps) == (10, len(alone))


@given(losses, losses, st.data(), st.sampled_from([2.0**-20, 0.25, 2.0, 1024.0]))
def test_the_unit_of_the_loss_does_not_matter(before, alone, data, unit):
    mine = data.draw(st.lists(st.floats(0.01, 10), min_size=len(alone), max_size=len(alone)))
    scaled = of([unit * x for x in alone], [unit * x for x in mine], [unit * x for x in before])
    assert scaled == of(alone, mine, before)


@given(losses, st.data())
def test_a_bump_is_found_at_its_step_and_passes_within_an_epoch(alone, data):
    at = data.draw(st.integers(1, len(alone)))
    found = of(alone, [x + 0.5 * (i == at) for i, x in enumerate(alone, 1)])
    assert found.height == pytest.approx(0.25)
    assert found.after == at
    back = at + len(EPOCH) - 1  # the mean over an epoch still has it in it
    assert found.recovered_after == (None if back >= len(alone) else back)


@given(losses, st.data())
def test_a_loss_that_is_never_above_is_no_hit(alone, data):
    below = [x * data.draw(st.floats(0.1, 1)) for x in alone]
    found = of(alone, below)
    assert (found.height, found.after, found.recovered_after) == (0, 0, 0)
    assert found.end <= 1


@given(losses, st.floats(1.1, 5))
def test_a_loss_that_stays_above_never_recovers(alone, times):
    found = of(alone, [times * x for x in alone])
    assert found.recovered_after is None
    assert found.end == pytest.approx(times)


def test_only_the_steps_that_both_took_are_compared():
    found = of([2.0, 2.0, 2.0, 9.0], [2.0, 3.0, 2.0])
    assert (found.steps, found.height, found.after) == (3, 0.5, 2)
    assert found.end == 5 / 4


def test_a_negative_loss_rises_as_any_other():
    """Such as that of a log-likelihood of a density."""
    found = of([-4.0, -4.0, -4.0], [-3.0, -4.0, -4.0], [-2.0, -2.0])
    assert (found.height, found.after, found.recovered_after, found.end) == (0.5, 1, 2, 1)
    assert of([-4.0, -4.0], [-3.0, -3.0], [-2.0, -2.0]).end == 1.25


def test_a_loss_that_is_not_a_number_is_the_largest_hit():
    found = of([2.0, 2.0, 2.0], [2.0, math.nan, math.nan])
    assert (found.height, found.after, found.recovered_after) == (math.inf, 2, None)
    found = of([2.0, math.nan, math.nan], [2.0, math.nan, math.nan])
    assert (found.height, found.recovered_after) == (0, 0)


def test_a_loss_of_zero_is_divided_by_nowhere():
    assert of([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]).end == 1
    found = of([0.0, 0.0], [0.0, 0.1], [0.0, 0.0])
    assert (found.height, found.after, found.end) == (math.inf, 2, math.inf)
