"""Who moved, from planted records of four corners: one side at a time, both, none, and what is not known."""

import math
from itertools import product

import pytest
from msgspec.structs import replace

from parity.core import failures
from parity.gate import load_policy
from parity.records import ERROR, FAIL, REMEDIED, BudgetRecord, Stopped
from parity.tests.support.pairs import NEW, OLD, READS, SKEW, operations, run
from parity.upgrade.attribution import attribute
from parity.upgrade.corners import CONVERTED, OTHERS, PROGRAM, READER, UPGRADE, Corners
from parity.upgrade.pins import JAX, TENSORFLOW, Pair

DRIFT = load_policy(None).drift


def moved(plant=lambda pair: {}, old=OLD, new=NEW, without=(), change=None):
    """What is said of the four corners, each planted with what `plant` gives for its pair."""
    pairs = [Pair(jax, tensorflow) for jax, tensorflow in product((old.jax, new.jax), (old.tensorflow, new.tensorflow))]
    runs = {pair: run(pair, **plant(pair)) for pair in pairs if pair not in without}
    if change is not None:
        change(runs)
    return {said.side: said for said in attribute(Corners(old, new, runs, DRIFT))}


def sides(found):
    return {side for side, said in found.items() if said.moved}


def test_where_nothing_moved_every_side_says_so_with_its_numbers():
    found = moved()
    assert sides(found) == set()
    assert found[UPGRADE].sentence == f"Nothing broke: {NEW} passes as exported by default."
    assert "scores 1 with jax 0.9.2 and 1 with 0.12.0.1" in found[JAX].sentence
    assert "scores 2 with 2.20.0 and 2 with 2.21.0" in found[TENSORFLOW].sentence
    assert found[PROGRAM].sentence == "The exported programs are the same, to the byte."
    assert "writes StableHLO 1.13.7, convention 10 (0.9.2: 1.13.7, convention 10)" in found[READER].sentence


def test_only_jax_moved():
    found = moved(lambda pair: {"jax": 9.5 if pair.jax == NEW.jax else 1.0})
    assert sides(found) == {JAX}
    said = "jax moved: of 2 probes predict scores 1 with jax 0.9.2 and 9.5 with 0.12.0.1, against the oracle."
    assert found[JAX].sentence == said


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
    assert found[JAX].sentence == "jax moved: predict on JAX alone is not in order any more."


def test_only_tensorflow_moved():
    found = moved(lambda pair: {"tensorflow": 30.0 if pair.tensorflow == NEW.tensorflow else 2.0})
    assert sides(found) == {TENSORFLOW}
    assert found[TENSORFLOW].sentence.startswith(
        "tensorflow moved: beside jax 0.9.2 predict scores 2 with 2.20.0 and 30"
    )
    assert "beside jax 0.12.0.1 predict scores 2 with 2.20.0 and 30 with 2.21.0" in found[TENSORFLOW].sentence


def test_tensorflow_that_fails_breaks_the_upgrade_and_says_what_is_over_the_limit():
    found = moved(
        lambda pair: {"tensorflow": 99.0, "status": FAIL} if pair.tensorflow == NEW.tensorflow else {"tensorflow": 2.0}
    )
    assert sides(found) == {UPGRADE, TENSORFLOW}
    assert found[UPGRADE].sentence.startswith("The new tensorflow breaks it")
    assert "predict over the limit" in found[TENSORFLOW].sentence


def test_only_the_reader_moved():
    reads = {**READS, "2.21.0": "1.12.1"}
    found = moved(lambda pair: {"reads": reads, **({"remedy": SKEW} if pair.tensorflow == NEW.tensorflow else {})})
    assert sides(found) == {UPGRADE, READER}
    assert found[UPGRADE].sentence.startswith("The new tensorflow breaks it")
    assert found[READER].sentence == (
        "The reader cannot read vhlo.custom_call_v2 (stablehlo_skew): jax 0.12.0.1 writes StableHLO 1.13.7, convention "
        "10 (0.9.2: 1.13.7, convention 10), tensorflow 2.21.0 reads up to StableHLO 1.12.1, convention 10 (2.20.0: "
        "1.13.7, convention 10)."
    )


def test_the_program_changed_with_no_effect_on_a_number():
    counts = {OLD.jax: operations(custom_call_v1=1, log_v2=3), NEW.jax: operations(custom_call_v2=1, log_v2=2)}
    found = moved(lambda pair: {"program": pair.jax, "counts": counts[pair.jax]})
    assert sides(found) == {PROGRAM}
    assert found[PROGRAM].sentence == (
        "The exported program moved with jax: predict lost 1 vhlo.custom_call_v1, gained 1 vhlo.custom_call_v2, has 2 "
        "vhlo.log_v2 for 3; no distance from the oracle moved with it."
    )


def test_a_program_of_the_same_operations_in_another_text_says_so():
    found = moved(lambda pair: {"program": pair.jax})
    assert "predict has the same 9 operations in another text; no distance" in found[PROGRAM].sentence


def test_programs_that_are_equal_are_named_beside_those_that_are_not():
    def change(runs):
        for one in runs.values():
            one.programs.append(replace(one.programs[0], function="loss", sha256="equal"))

    found = moved(lambda pair: {"program": pair.jax}, change=change)
    assert "in another text; loss the same to the byte; no distance" in found[PROGRAM].sentence


def test_a_program_that_another_tensorflow_changes_is_not_put_down_to_jax_alone():
    found = moved(lambda pair: {"program": pair.tensorflow})
    assert found[PROGRAM].moved
    said = (
        "The exported programs are the same, to the byte, but beside jax 0.9.2 they are others with another tensorflow"
    )
    assert found[PROGRAM].sentence.startswith(said)


def score_beside_the_new_jax(rms):
    """TensorFlow scores ten times more on what the new jax exports, where the budget of that leaf is `rms`."""

    def change(runs):
        for pair, one in runs.items():
            budget = rms if pair.jax == NEW.jax else 1e-7
            one.budgets.append(BudgetRecord("reference", "predict", 13, "output", budget, budget, "planted"))

    return moved(lambda pair: {"tensorflow": 20.0 if pair.jax == NEW.jax else 2.0, "program": pair.jax}, change=change)


def test_a_score_that_rose_because_its_budget_shrank_is_no_side_moving():
    found = score_beside_the_new_jax(1e-8)
    assert sides(found) == {PROGRAM}
    assert found[CONVERTED].sentence == (
        "The budgets moved with the new jax, and TensorFlow did not: predict output scores 2 on what jax 0.9.2 exports "
        "and 20 on what 0.12.0.1 does, on tensorflow 2.21.0; the budget of that went from 1e-07 to 1e-08, its distance "
        "from 2e-07 to 2e-07."
    )


def test_tensorflow_that_answers_only_the_new_program_worse_is_named_as_such():
    found = score_beside_the_new_jax(1e-7)
    assert sides(found) == {CONVERTED, PROGRAM}
    assert found[CONVERTED].sentence.startswith(
        "What TensorFlow makes of the new program moved: predict output scores 2"
    )
    assert "no distance" not in found[PROGRAM].sentence


def test_a_probe_that_moved_is_not_hidden_behind_one_whose_budget_shrank_more():
    def change(runs):
        for pair, one in runs.items():
            for probe, budget in (("predict", 1e-8 if pair.jax == NEW.jax else 1e-7), ("eval_loss", 1e-7)):
                one.budgets.append(BudgetRecord("reference", probe, 13, "output", budget, budget, "planted"))
            if pair.jax == NEW.jax:
                one.checks[3] = replace(one.checks[3], score=8.0)

    found = moved(lambda pair: {"tensorflow": 20.0 if pair.jax == NEW.jax else 2.0}, change=change)
    assert found[CONVERTED].moved
    assert "eval_loss output scores 1.1 on what jax 0.9.2 exports and 8 on" in found[CONVERTED].sentence


def test_a_model_whose_leaves_have_other_names_moved():
    def change(runs):
        for pair, one in runs.items():
            one.checks[2] = replace(one.checks[2], leaf=pair.jax, score=20.0 if pair.jax == NEW.jax else 2.0)

    assert moved(change=change)[CONVERTED].sentence.endswith("on tensorflow 2.21.0, and has other leaves.")


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
    assert "no distance" not in found[PROGRAM].sentence


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({NEW}, "Only together do they break"),
        ({NEW, Pair(NEW.jax, OLD.tensorflow)}, "The new jax breaks it"),
        ({NEW, Pair(OLD.jax, NEW.tensorflow)}, "The new tensorflow breaks it"),
        ({NEW, Pair(OLD.jax, NEW.tensorflow), Pair(NEW.jax, OLD.tensorflow)}, "Each breaks it alone"),
    ],
    ids=["together", "jax", "tensorflow", "each"],
)
def test_which_upgrade_breaks_the_pair_is_read_from_the_corners(broken, says):
    found = moved(lambda pair: {"remedy": SKEW} if pair in broken else {})
    assert found[UPGRADE].moved
    assert found[UPGRADE].sentence.startswith(says)


def test_what_was_broken_before_is_no_upgrades_doing():
    found = moved(lambda pair: {"remedy": SKEW})
    assert sides(found) == set()
    assert "and so is the pair you have" in found[UPGRADE].sentence
    assert "as before" in found[READER].sentence


def resolver(pair):
    def stop(runs):
        runs[pair].stopped = Stopped(ERROR, failures.RESOLVER, "jax==0.12.0.1 needs numpy>=2")
        runs[pair].checks.clear()

    return stop


def test_a_corner_that_cannot_be_installed_leaves_open_who_broke_it():
    apart = Pair(NEW.jax, OLD.tensorflow)
    found = moved(lambda pair: {"remedy": SKEW} if pair == NEW else {}, change=resolver(apart))
    assert found[UPGRADE].moved is None
    assert f"{apart} gave no answer" in found[UPGRADE].sentence
    assert found[JAX].moved is False  # the other corner with this jax answers


def test_a_new_pair_that_cannot_be_installed_is_not_known_to_be_readable():
    found = moved(change=resolver(NEW))
    assert (found[UPGRADE].moved, found[READER].moved) == (None, None)
    assert found[UPGRADE].sentence.endswith(f"{NEW} cannot be installed together.")


def test_corners_without_records_are_unknown_and_not_unmoved():
    pairs = {Pair(OLD.jax, NEW.tensorflow), Pair(NEW.jax, OLD.tensorflow), NEW}
    found = moved(without=pairs)
    assert {side: said.moved for side, said in found.items()} == dict.fromkeys(found, None)
    assert found[JAX].sentence == "jax's numbers are not known: no record with jax 0.12.0.1 has its scores."


def test_one_package_alone_has_two_corners():
    new = Pair(OLD.jax, NEW.tensorflow)
    found = moved(lambda pair: {"remedy": SKEW} if pair == new else {}, new=new)
    assert found[UPGRADE].sentence.startswith("The new tensorflow breaks it")
    assert found[JAX].sentence == "jax is 0.9.2 on both sides."


def test_what_else_the_resolver_picked_is_named():
    def change(runs):
        runs[NEW].environment["versions"]["numpy"] = "2.5.5"
        runs[NEW].environment["machine"]["python"] = "3.13.0"

    found = moved(change=change)
    assert found[OTHERS].sentence == "What moved with them: numpy 2.4.6 to 2.5.5, Python 3.12.1 to 3.13.0."
    assert OTHERS not in moved()


def test_a_remedy_that_mends_the_new_pair_still_counts_as_breaking_it():
    found = moved(lambda pair: {"remedy": SKEW, "status": REMEDIED} if pair.jax == NEW.jax else {})
    assert sides(found) == {UPGRADE, READER}
