"""Every second is booked once, on the innermost purpose."""

import time

import pytest

from parity.core.ledger import FRAMEWORKS, IMPORTING, OWN_CODE, TRAINING, TimeLedger

TICK = 0.05


def test_a_ledger_without_spending_is_all_own_code():
    ledger = TimeLedger()
    time.sleep(TICK)
    totals = ledger.totals()
    assert (totals[IMPORTING], totals[TRAINING], totals[FRAMEWORKS]) == (0, 0, 0)
    assert totals[OWN_CODE] >= TICK


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to: `clock.pass_(seconds)`."""

    class Clock:
        now = 100.0

        def pass_(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_nested_purposes_are_booked_once_on_the_innermost(clock):
    ledger = TimeLedger()
    clock.pass_(1)
    with ledger.spend(TRAINING):
        clock.pass_(2)
        with ledger.spend(FRAMEWORKS):
            clock.pass_(4)
            with ledger.spend(IMPORTING):
                clock.pass_(8)
            clock.pass_(16)
        clock.pass_(32)
        with ledger.spend(TRAINING):
            clock.pass_(64)
    clock.pass_(128)
    assert ledger.totals() == {IMPORTING: 8, TRAINING: 2 + 32 + 64, FRAMEWORKS: 4 + 16, OWN_CODE: 1 + 128}


def test_own_code_may_be_spent_by_name_inside_another_purpose(clock):
    ledger = TimeLedger()
    with ledger.spend(FRAMEWORKS):
        clock.pass_(1)
        with ledger.spend(OWN_CODE):
            clock.pass_(2)
    clock.pass_(4)
    assert ledger.totals() == {IMPORTING: 0, TRAINING: 0, FRAMEWORKS: 1, OWN_CODE: 6}


def test_a_purpose_of_its_own_is_listed(clock):
    ledger = TimeLedger()
    with ledger.spend("waiting"):
        clock.pass_(3)
    assert ledger.totals()["waiting"] == 3


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_exception_closes_the_spans_it_leaves(clock, interruption):
    ledger = TimeLedger()

    def interrupted():
        with ledger.spend(TRAINING):
            clock.pass_(1)
            with ledger.spend(FRAMEWORKS):
                clock.pass_(2)
                raise interruption

    with pytest.raises(interruption):
        interrupted()
    clock.pass_(4)
    with ledger.spend(IMPORTING):
        clock.pass_(8)
    assert ledger.totals() == {IMPORTING: 8, TRAINING: 1, FRAMEWORKS: 2, OWN_CODE: 4}


def test_totals_add_up_to_the_elapsed_time():
    before = time.perf_counter()
    ledger = TimeLedger()
    for purpose in (IMPORTING, TRAINING, FRAMEWORKS):
        with ledger.spend(purpose), ledger.spend(FRAMEWORKS):
            time.sleep(TICK / 10)
    totals = ledger.totals()
    assert 3 * TICK / 10 <= sum(totals.values()) <= time.perf_counter() - before
    assert totals[FRAMEWORKS] >= 3 * TICK / 10
