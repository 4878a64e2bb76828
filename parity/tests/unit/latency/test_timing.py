"""Durations next to each other: when measuring ends, and what medians and ratios it gives."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from parity.latency import MIN_ROUNDS, timing

MS = 1_000_000


class Machine:
    """Steps of a nominal time on a machine that drifts, hiccups, and has a clock of its own."""

    def __init__(self, seed=0, noise=0.03, drift=0.0, hiccups=0.03):
        self.rng, self.noise, self.drift, self.hiccups = np.random.default_rng(seed), noise, drift, hiccups
        self.now_s, self.order, self.steps = 0.0, [], 0

    def timer(self, name, ms):
        def step():
            self.steps += 1
            slow = 1 + self.drift * (1 + np.sin(self.steps / 20))
            hiccup = 5 if self.rng.random() < self.hiccups else 1
            took = ms * slow * hiccup * np.exp(self.rng.normal(0, self.noise))
            self.now_s += took / 1000
            self.order.append(name)
            return int(took * MS)

        return step

    def measured(self, **ms):
        timers = {name: self.timer(name, of) for name, of in ms.items()}
        return timing.interleaved(timers, reference="a", budget_s=1e9, clock=lambda: self.now_s)


def contains(interval, value):
    return interval.low <= value <= interval.high


def test_every_timer_runs_once_in_each_round_in_an_order_that_changes():
    machine = Machine()
    found = machine.measured(a=1, b=1, c=1)
    rounds = [machine.order[i : i + 3] for i in range(0, len(machine.order), 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(rounds) == found.rounds + timing.WARM_UP
    assert len({tuple(one) for one in rounds}) == 6


def test_a_planted_tenth_is_found_and_nothing_where_there_is_nothing():
    seen = [Machine(seed).measured(a=1.0, b=1.0, c=1.1) for seed in range(25)]
    assert sum(contains(m.ratios["b"], 1) for m in seen) >= 24
    assert all(m.ratios["c"].low > 1 for m in seen)
    assert all(contains(m.ratios["c"], 1.1) for m in seen)
    assert all(m.narrow(name) for m in seen for name in "abc")
    assert all(m.ratios[name].half_width <= 0.05 for m in seen for name in "bc")


def test_drift_of_the_machine_cancels_in_ratios():
    steady, drifting = Machine(1).measured(a=1, b=2), Machine(1, drift=0.5).measured(a=1, b=2)
    assert drifting.ratios["b"].value == pytest.approx(steady.ratios["b"].value, rel=0.03)
    assert contains(drifting.ratios["b"], 2)
    apart = np.array(drifting.times_ns["a"])
    assert np.quantile(apart, 0.9) > 1.3 * np.quantile(apart, 0.1)


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0, 0.5), budget_s=st.floats(0, 0.5), least=st.integers(1, 40), most=st.integers(1, 120))
def test_measuring_ends_at_a_look_with_its_budget_or_at_the_most(noise, budget_s, least, most):
    machine = Machine(noise=noise)
    timers = {"a": machine.timer("a", 1), "b": machine.timer("b", 1)}
    known = {"reference": "a", "min_rounds": least, "max_rounds": most}
    found = timing.interleaved(timers, budget_s=budget_s, clock=lambda: machine.now_s, **known)
    growing = itertools.accumulate(range(20), lambda n, _: int(np.ceil(n * timing.GROWTH)), initial=max(least, 16))
    looks = set(itertools.takewhile(lambda n: n <= max(least, most), growing))
    narrow = all(found.narrow(name) for name in timers)
    assert least <= found.rounds <= max(least, most)
    assert found.rounds in looks or found.spent_s >= budget_s or found.rounds == max(least, most)
    assert narrow or found.spent_s >= budget_s or found.rounds == max(least, most)
    one_less = found.spent_s - (found.times_ns["a"][-1] + found.times_ns["b"][-1]) / 1e9
    assert found.rounds == least or one_less < budget_s


def test_what_is_not_narrow_when_the_time_ends_says_so():
    machine = Machine(noise=0.6)
    timers = {"a": machine.timer("a", 1), "b": machine.timer("b", 1)}
    found = timing.interleaved(timers, reference="a", budget_s=0.02, clock=lambda: machine.now_s)
    assert found.rounds == MIN_ROUNDS
    assert not found.narrow("a")
    assert not found.narrow("b")


def test_without_autocorrelation_the_interval_is_that_of_scipy():
    series = np.random.default_rng(5).lognormal(0, 0.2, 200)
    series = series if timing.block_length(series) == 1 else np.random.default_rng(6).lognormal(0, 0.2, 200)
    assert timing.block_length(series) == 1
    found = timing.median_interval(series)
    known = stats.bootstrap(
        (series,), np.median, confidence_level=timing.LEVEL, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((known.low, known.high), rel=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_the_interval_of_a_median_misses_seldom_though_neighbours_resemble_each_other(rho):
    rng, hits = np.random.default_rng(2), 0
    for _ in range(100):
        noise, series = rng.normal(0, np.sqrt(1 - rho**2), 48), np.zeros(48)
        series[0] = rng.normal()
        for i in range(1, 48):
            series[i] = rho * series[i - 1] + noise[i]
        hits += contains(timing.median_interval(np.exp(0.1 * series)), 1)
    assert hits >= 95


def test_what_takes_no_time_is_refused():
    with pytest.raises(ValueError, match="b took 0 ns"):
        timing.summarise({"a": [5, 6, 7], "b": [5, 0, 7]}, reference="a")


def test_outliers_are_counted_by_tukeys_fence_and_kept():
    times = [100, 101, 99, 100, 102, 98, 100, 500, 400]
    assert timing.outliers(times) == 2
    assert timing.outliers([100] * 9) == 0
    assert timing.summarise({"a": times}).times_ns["a"] == times


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=60))
def test_an_interval_holds_its_median_and_lies_within_the_data(times):
    found = timing.median_interval(times)
    assert min(times) <= found.low <= found.value <= found.high <= max(times)
