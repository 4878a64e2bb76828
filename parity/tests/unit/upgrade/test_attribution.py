"""Who moved, from planted records of four corners: one side at a time, both, none, and what is not known."""

import math
from itertools import product

import pytest
from msgspec.structs import replace

from parity.core import failures
from parity.gate import load_policy
from parity.records import ERROR, FAIL, REMEDIED, BudgetRecord, Stopped
from parity.tests.support.pairs import NEW, OLD, READS, SKEW, operations, run
from parity.upgrade.attribution import Corners, attribute
from parity.upgrade.pairs import JAX, TENSORFLOW, Pair
from parity.upgrade.reasons import CONVERTED, OTHERS, PROGRAM, READER, UPGRADE, Change, Finding, Reason

DRIFT = load_policy(None).drift


def moved(plant=lambda pair: {}, old=OLD, new=NEW, without=(), change=None, blocked=False):
    """Return the findings by side, where each corner is planted with what `plant` gives for its pair."""
    pairs = [Pair(jax, tensorflow) for jax, tensorflow in product((old.jax, new.jax), (old.tensorflow, new.tensorflow))]
    runs = {pair: run(pair, **plant(pair)) for pair in pairs if pair not in without}
    if change is not None:
        change(runs)
    known = Corners(old, new, runs, DRIFT.score, DRIFT.floor)
    found = {finding.side: finding for finding in attribute(known, blocked)}
    assert all(finding.sentence for finding in found.values())  # no fact of a sentence is absent
    return found


def sides(found):
    return {side for side, finding in found.items() if finding.moved}


def test_every_reason_has_a_sentence_of_its_own():
    assert len({reason.value[1] for reason in Reason.__members__.values()}) == len(Reason.__members__)
    assert all(reason.value[1].endswith(".") for reason in Reason)


def test_every_sentence_names_its_facts():
    found = Finding(UPGRADE, Reason.JAX_MOVED, {"new": "a {pair}", "outcome": "b"})
    assert found.sentence == "The new jax breaks it: a {pair} is b."
    assert (found.moved, found.reason.code) == (True, "jax_moved")


def test_a_change_is_shown_with_three_digits():
    assert str(Change("predict", 2.0, 30.0, "jax 1")) == "predict 2 -> 30 beside jax 1"
    assert str(Change("predict", 1.23456, 1.23456)) == "predict 1.23"
    assert str(Change("vhlo.add", None, 7)) == "vhlo.add absent -> 7"


def test_where_nothing_moved_every_side_reports_its_numbers():
    found = moved()
    assert sides(found) == set()
    reasons = {side: finding.reason for side, finding in found.items()}
    assert reasons == {
        UPGRADE: Reason.NOTHING_BROKE, JAX: Reason.SCORES_SAME, TENSORFLOW: Reason.SCORES_SAME,
        CONVERTED: Reason.SCORES_SAME, PROGRAM: Reason.PROGRAM_SAME, READER: Reason.READABLE,
    }  # fmt: skip
    assert found[UPGRADE].facts["new"] == str(NEW)
    assert found[JAX].changes == (Change("predict", 1.0, 1.0),)
    assert Change("predict", 2.0, 2.0, f"jax {OLD.jax}") in found[TENSORFLOW].changes
    assert found[PROGRAM].changes == ()
    assert Change("StableHLO written", "1.13.7", "1.13.7") in found[READER].changes
    assert Change("calling convention written", 10, 10) in found[READER].changes
    assert moved(blocked=True)[UPGRADE].reason is Reason.GATE_BLOCKS


def test_only_jax_moved():
    found = moved(lambda pair: {"jax": 9.5 if pair.jax == NEW.jax else 1.0})
    assert sides(found) == {JAX}
    assert found[JAX].reason is Reason.SCORES_MOVED
    assert found[JAX].facts == {"old": "0.9.2", "new": "0.12.0.1"}
    assert found[JAX].changes == (Change("predict", 1.0, 9.5),)


def test_jax_that_moved_closer_to_the_oracle_moved_too():
    assert sides(moved(lambda pair: {"jax": 9.5 if pair.jax == OLD.jax else 1.0})) == {JAX}


def test_growth_within_the_policys_factor_is_not_moving():
    edge = DRIFT.score * DRIFT.floor
    assert sides(moved(lambda pair: {"jax": edge if pair.jax == NEW.jax else 0.01})) == set()
    assert sides(moved(lambda pair: {"jax": edge * 1.001 if pair.jax == NEW.jax else 0.01})) == {JAX}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_infinitely_far(bad):
    assert sides(moved(lambda pair: {"jax": bad if pair.jax == NEW.jax else 1.0})) == {JAX}


def test_jax_that_fails_alone_moved():
    def fail(runs):
        for pair, one in runs.items():
            if pair.jax == NEW.jax:
                one.checks[0] = replace(one.checks[0], status=ERROR, score=None)

    found = moved(change=fail)
    assert JAX in sides(found)
    assert (found[JAX].reason, found[JAX].facts["probes"]) == (Reason.CHECKS_FAIL, "predict")


def test_only_tensorflow_moved():
    found = moved(lambda pair: {"tensorflow": 30.0 if pair.tensorflow == NEW.tensorflow else 2.0})
    assert sides(found) == {TENSORFLOW}
    assert found[TENSORFLOW].reason is Reason.SCORES_MOVED
    assert found[TENSORFLOW].facts == {"old": "2.20.0", "new": "2.21.0"}
    assert found[TENSORFLOW].changes == tuple(Change("predict", 2.0, 30.0, f"jax {pair.jax}") for pair in (OLD, NEW))


def test_tensorflow_that_fails_breaks_the_upgrade_and_names_the_probes():
    found = moved(
        lambda pair: {"tensorflow": 99.0, "status": FAIL} if pair.tensorflow == NEW.tensorflow else {"tensorflow": 2.0}
    )
    assert sides(found) == {UPGRADE, TENSORFLOW}
    assert found[UPGRADE].reason is Reason.TENSORFLOW_MOVED
    assert (found[TENSORFLOW].reason, found[TENSORFLOW].facts["probes"]) == (Reason.CHECKS_FAIL, "predict")


def test_only_the_reader_moved():
    reads = {**READS, "2.21.0": "1.12.1"}
    found = moved(lambda pair: {"reads": reads, **({"remedy": SKEW} if pair.tensorflow == NEW.tensorflow else {})})
    assert sides(found) == {UPGRADE, READER}
    assert found[UPGRADE].reason is Reason.TENSORFLOW_MOVED
    assert found[READER].reason is Reason.UNREADABLE
    assert found[READER].facts == {"failure": "stablehlo_skew", "evidence": "vhlo.custom_call_v2"}
    assert set(found[READER].changes) == {
        Change("StableHLO written", "1.13.7", "1.13.7"), Change("calling convention written", 10, 10),
        Change("StableHLO read up to", "1.13.7", "1.12.1"), Change("calling convention read up to", 10, 10),
    }  # fmt: skip


def test_the_table_of_readers_fills_what_a_record_does_not_have():
    def change(runs):
        for one in runs.values():
            del one.environment["reader"], one.environment["writer"]

    found = {change.what: (change.old, change.new) for change in moved(change=change)[READER].changes}
    assert found["StableHLO written"] == (None, None)
    assert None not in found["calling convention read up to"]


def test_the_program_changed_with_no_effect_on_a_number():
    counts = {OLD.jax: operations(custom_call_v1=1, log_v2=3), NEW.jax: operations(custom_call_v2=1, log_v2=2)}
    found = moved(lambda pair: {"program": pair.jax, "counts": counts[pair.jax]})
    assert sides(found) == {PROGRAM}
    assert found[PROGRAM].reason is Reason.PROGRAM_MOVED_ALONE
    changes = found[PROGRAM].changes
    assert changes[0] == Change("reference predict sha256", "0.9.2", "0.12.0.1")
    assert set(changes[1:3]) == {
        Change("reference predict vhlo.custom_call_v1", 1, None),
        Change("reference predict vhlo.custom_call_v2", None, 1),
    }
    assert changes[3:] == (Change("reference predict vhlo.log_v2", 3, 2),)


def test_a_program_of_the_same_operations_in_another_text_has_another_hash():
    found = moved(lambda pair: {"program": pair.jax})
    assert found[PROGRAM].reason is Reason.PROGRAM_MOVED_ALONE
    assert [change.what for change in found[PROGRAM].changes] == ["reference predict sha256"]


def test_programs_that_are_equal_are_not_among_the_changes():
    def change(runs):
        for one in runs.values():
            one.programs.append(replace(one.programs[0], function="loss", sha256="equal"))

    found = moved(lambda pair: {"program": pair.jax}, change=change)
    assert [change.what for change in found[PROGRAM].changes] == ["reference predict sha256"]


def test_a_program_that_another_tensorflow_changes_is_not_put_down_to_jax_alone():
    found = moved(lambda pair: {"program": pair.tensorflow})
    assert found[PROGRAM].moved
    assert (found[PROGRAM].reason, found[PROGRAM].changes) == (Reason.PROGRAM_VARIES, ())
    assert found[PROGRAM].facts["jax"] == f"{OLD.jax} and {NEW.jax}"


def test_programs_without_a_record_are_unknown():
    def change(runs):
        for pair, one in runs.items():
            if pair.jax == NEW.jax:
                one.programs.clear()

    found = moved(change=change)[PROGRAM]
    assert (found.moved, found.reason, found.facts) == (None, Reason.NO_PROGRAMS, {"jax": NEW.jax})


def score_with_the_new_jax(rms):
    """TensorFlow scores ten times more on what the new jax exports, where the budget of that leaf is `rms`."""

    def change(runs):
        for pair, one in runs.items():
            budget = rms if pair.jax == NEW.jax else 1e-7
            one.budgets.append(BudgetRecord("reference", "predict", 13, "output", budget, budget, "planted"))

    return moved(lambda pair: {"tensorflow": 20.0 if pair.jax == NEW.jax else 2.0, "program": pair.jax}, change=change)


def test_a_score_that_rose_because_its_budget_shrank_is_no_side_moving():
    found = score_with_the_new_jax(1e-8)
    assert sides(found) == {PROGRAM}
    assert found[CONVERTED].reason is Reason.BUDGET_MOVED
    score, budget, distance = found[CONVERTED].changes
    assert score == Change("predict output", 2.0, 20.0, f"tensorflow {NEW.tensorflow}")
    assert (budget.old, budget.new) == (1e-7, 1e-8)
    assert (distance.old, distance.new) == pytest.approx((2e-7, 2e-7))


def test_tensorflow_that_answers_only_the_new_program_worse_is_named_as_such():
    found = score_with_the_new_jax(1e-7)
    assert sides(found) == {CONVERTED, PROGRAM}
    assert found[CONVERTED].reason is Reason.SCORES_MOVED
    assert found[CONVERTED].changes[0].what == "predict output"
    assert found[PROGRAM].reason is Reason.PROGRAM_MOVED


def test_a_probe_that_moved_is_not_hidden_behind_one_whose_budget_shrank_more():
    def change(runs):
        for pair, one in runs.items():
            for probe, budget in (("predict", 1e-8 if pair.jax == NEW.jax else 1e-7), ("eval_loss", 1e-7)):
                one.budgets.append(BudgetRecord("reference", probe, 13, "output", budget, budget, "planted"))
            if pair.jax == NEW.jax:
                one.checks[3] = replace(one.checks[3], score=8.0)

    found = moved(lambda pair: {"tensorflow": 20.0 if pair.jax == NEW.jax else 2.0}, change=change)
    assert found[CONVERTED].reason is Reason.SCORES_MOVED
    change = found[CONVERTED].changes[0]
    assert (change.what, change.old, change.new) == ("eval_loss output", 1.1, 8.0)


def test_a_model_whose_leaves_have_other_names_moved():
    def change(runs):
        for pair, one in runs.items():
            one.checks[2] = replace(one.checks[2], leaf=pair.jax, score=20.0 if pair.jax == NEW.jax else 2.0)

    found = moved(change=change)[CONVERTED]
    assert found.reason is Reason.SCORES_MOVED
    assert found.changes == (Change("predict", 2.0, 20.0, f"tensorflow {NEW.tensorflow}"),)


def test_a_score_without_a_budget_counts_as_moved():
    assert CONVERTED in sides(moved(lambda pair: {"tensorflow": 20.0 if pair.jax == NEW.jax else 2.0}))


def test_both_moved():
    found = moved(
        lambda pair: {
            "jax": 9.0 if pair.jax == NEW.jax else 1.0, "program": pair.jax,
            "tensorflow": 30.0 if pair.tensorflow == NEW.tensorflow else 2.0,
        }
    )  # fmt: skip
    assert sides(found) == {JAX, TENSORFLOW, PROGRAM}
    assert found[PROGRAM].reason is Reason.PROGRAM_MOVED


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({NEW}, Reason.INTERACTION),
        ({NEW, Pair(NEW.jax, OLD.tensorflow)}, Reason.JAX_MOVED),
        ({NEW, Pair(OLD.jax, NEW.tensorflow)}, Reason.TENSORFLOW_MOVED),
        ({NEW, Pair(OLD.jax, NEW.tensorflow), Pair(NEW.jax, OLD.tensorflow)}, Reason.BOTH),
    ],
    ids=["together", "jax", "tensorflow", "each"],
)
def test_which_upgrade_breaks_the_pair_is_read_from_the_corners(broken, reason):
    found = moved(lambda pair: {"remedy": SKEW} if pair in broken else {})
    assert found[UPGRADE].moved
    assert found[UPGRADE].reason is reason
    assert SKEW[1] in found[UPGRADE].facts["outcome"]


def test_what_was_broken_before_is_no_upgrades_doing():
    found = moved(lambda pair: {"remedy": SKEW})
    assert sides(found) == set()
    assert found[UPGRADE].reason is Reason.BROKEN_BEFORE
    assert SKEW[1] in found[UPGRADE].facts["old_outcome"]
    assert found[READER].reason is Reason.UNREADABLE_BEFORE


def resolver(pair):
    def stop(runs):
        runs[pair].stopped = Stopped(ERROR, failures.RESOLVER, "jax==0.12.0.1 needs numpy>=2")
        runs[pair].checks.clear()

    return stop


def test_a_corner_that_cannot_be_installed_leaves_open_who_broke_it():
    apart = Pair(NEW.jax, OLD.tensorflow)
    found = moved(lambda pair: {"remedy": SKEW} if pair == NEW else {}, change=resolver(apart))
    assert (found[UPGRADE].moved, found[UPGRADE].reason) == (None, Reason.UNDECIDED)
    assert found[UPGRADE].facts["corners"] == str(apart)
    assert found[JAX].moved is False  # the other corner with this jax answers


def test_a_new_pair_that_cannot_be_installed_is_not_known_to_be_readable():
    found = moved(change=resolver(NEW))
    assert (found[UPGRADE].moved, found[READER].moved) == (None, None)
    assert (found[UPGRADE].reason, found[READER].reason) == (Reason.NO_INSTALL, Reason.READER_UNKNOWN)


def test_corners_without_records_are_unknown_and_not_unmoved():
    pairs = {Pair(OLD.jax, NEW.tensorflow), Pair(NEW.jax, OLD.tensorflow), NEW}
    found = moved(without=pairs)
    assert {side: finding.moved for side, finding in found.items()} == dict.fromkeys(found, None)
    assert (found[UPGRADE].reason, found[JAX].reason) == (Reason.NO_RECORD, Reason.NO_SCORES)


def test_one_package_alone_has_two_corners():
    new = Pair(OLD.jax, NEW.tensorflow)
    found = moved(lambda pair: {"remedy": SKEW} if pair == new else {}, new=new)
    assert (found[UPGRADE].reason, found[JAX].reason) == (Reason.TENSORFLOW_MOVED, Reason.SAME_RELEASE)
    assert CONVERTED not in found
    new = Pair(NEW.jax, OLD.tensorflow)
    found = moved(lambda pair: {"remedy": SKEW} if pair == new else {}, new=new)
    assert (found[UPGRADE].reason, found[TENSORFLOW].reason) == (Reason.JAX_MOVED, Reason.SAME_RELEASE)


def test_what_else_the_resolver_picked_is_named():
    def change(runs):
        runs[NEW].environment["versions"]["numpy"] = "2.5.5"
        runs[NEW].environment["machine"]["python"] = "3.13.0"

    found = moved(change=change)
    assert found[OTHERS].changes == (Change("numpy", "2.4.6", "2.5.5"), Change("Python", "3.12.1", "3.13.0"))
    assert OTHERS not in moved()


def test_a_remedy_that_mends_the_new_pair_still_counts_as_breaking_it():
    found = moved(lambda pair: {"remedy": SKEW, "status": REMEDIED} if pair.jax == NEW.jax else {})
    assert sides(found) == {UPGRADE, READER}
