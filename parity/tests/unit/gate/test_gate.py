"""What the gate blocks on, what it only warns of, and what it says."""

import math
import re

import msgspec
import pytest
from msgspec.structs import replace

from parity import gate, records
from parity.core.errors import NotComparableError
from parity.gate import policy, side
from parity.gate import verdict as words
from parity.records import Deprecation, Remedy, Stopped
from parity.tests.support import gate_runs, samples
from parity.tests.support.gate_runs import judge, kinds, newer, run, with_check

# By the baseline's status: what the gate makes of each status of the candidate, in the order of COLUMNS.
COLUMNS = ("pass", "fail", "known", "fixed", "remedied", "error", "crash", "timeout", "missing")
BECOMES = {
    "pass": ("", "worse", "worse", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "remedied": ("repaired", "worse", "worse", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "fixed": ("repaired", "worse", "worse", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "known": ("repaired", "worse", "", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "fail": ("repaired", "still failing", "listed", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "error": ("repaired", "worse", "listed", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "crash": ("repaired", "worse", "listed", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "timeout": ("repaired", "worse", "listed", "fixed", "remedied", "error", "crash", "timeout", "missing"),
    "missing": ("repaired", "worse", "listed", "fixed", "remedied", "error", "crash", "timeout", "missing"),
}
BLOCKING = ("worse", "fixed", "error", "crash", "timeout", "missing")


def test_the_table_of_statuses_is_complete():
    assert set(BECOMES) == set(COLUMNS) == set(records.STATUSES)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [(before, after, kind) for before, row in BECOMES.items() for after, kind in zip(COLUMNS, row, strict=True)],
)
def test_every_pair_of_statuses(before, after, kind):
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status=before, score=None)
    found = judge(with_check(1, status=after, score=None), baseline)
    assert [of for _, of in kinds(found)] == [kind] * bool(kind)
    assert found.exit_code == (kind in BLOCKING)
    assert (found.decision == words.WITH_REMEDY) == (after == "remedied")


def test_the_same_again_may_upgrade_and_says_so_in_one_sentence():
    found = judge(newer())
    assert (found.decision, found.findings, found.compared) == ("may upgrade", [], 4)
    assert all(release in found.sentence for release in ("0.9.2", "0.10.2", "2.20.0", "2.21.0"))
    assert found.sentence.count(". ") == 0


def test_what_blocks_is_said_first_with_its_evidence():
    evidence = {"failure": "stablehlo_skew", "evidence": "vhlo.custom_call_v2 in StableHLO 1.18.0"}
    found = judge(with_check(1, status="error", score=None, **evidence))
    [first] = found.findings
    assert (first.level, first.kind, first.case, first.runtime) == ("block", "error", "reference", "tf_graph")
    assert (first.item, first.leaf) == ("test_train_gradient[reference-tf_graph-b13]", "kernel")
    assert first.detail == ", ".join(evidence.values())
    assert first.sentence.removesuffix(".") in found.sentence


def test_a_remedy_is_named_with_the_failure_that_calls_for_it():
    made = with_check(1, status="remedied")
    made.remedies.append(Remedy("reference", "tensorflow==2.21.0", "stablehlo_skew", "vhlo.custom_call_v2"))
    found = judge(made)
    assert (found.decision, found.exit_code) == ("may upgrade with remedy", 0)
    assert 'readable_by("tensorflow==2.21.0") (by default: stablehlo_skew, vhlo.custom_call_v2)' in found.sentence
    assert kinds(found) == [("warn", "remedied")]


def test_a_remedy_that_was_needed_before_is_needed_still_and_is_no_warning():
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status="remedied")
    found = judge(with_check(1, status="remedied"), baseline)
    assert (found.decision, kinds(found)) == ("may upgrade with remedy", [("note", "remedied")])


@pytest.mark.parametrize("status", ["pass", "remedied", "known"])
@pytest.mark.parametrize("score", [100.0, math.inf, math.nan])
def test_a_score_over_the_limit_blocks_whatever_the_status_says(status, score):
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status=status)
    assert ("block", "over the limit") in kinds(judge(with_check(1, status=status, score=score), baseline))


def test_a_small_step_over_the_limit_blocks_though_it_says_pass():
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], score=63.9)
    assert judge(with_check(1, score=64.1), baseline).exit_code == 1
    assert judge(with_check(1, score=64.0), baseline).findings == []


def test_a_new_check_over_its_limit_blocks_though_it_says_pass():
    made = newer()
    made.checks.append(replace(made.checks[1], leaf="more", score=100.0))
    assert kinds(judge(made)) == [("block", "new and not in order")]


@pytest.mark.parametrize("status", ["known", "fail"])
def test_what_was_over_the_limit_before_has_not_crossed_it(status):
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status=status, score=90.0)
    assert judge(with_check(1, status=status, score=100.0), baseline).exit_code == 0


@pytest.mark.parametrize("limit", [64.1, math.inf, math.nan, None])
def test_a_limit_that_was_raised_or_removed_blocks(limit):
    assert judge(with_check(1, limit=limit)).exit_code == 1


def test_a_limit_that_was_lowered_does_not():
    assert judge(with_check(1, limit=10.0)).findings == []


@pytest.mark.parametrize("status", ["pass", "remedied"])
def test_a_score_that_is_gone_blocks(status):
    assert ("block", "not measured") in kinds(judge(with_check(1, status=status, score=None)))


@pytest.mark.parametrize("number", range(4))
def test_a_leaf_that_is_gone_blocks(number):
    made = newer()
    gone = made.checks.pop(number)
    found = judge(made)
    assert found.exit_code == 1
    assert found.findings[0].item == gone.item


def test_an_item_that_is_gone_blocks():
    made = newer()
    made.plan.pop(0), made.checks.pop(0)
    assert kinds(judge(made)) == [("block", "missing")]


def test_what_was_planned_and_not_seen_is_missing():
    made = newer()
    made.checks.pop(0)
    found = judge(made)
    assert [finding.leaf for finding in found.findings if finding.level == "block"] == ["output", "*"]
    assert kinds(found) == [("block", "missing"), ("block", "new and not in order")]


@pytest.mark.parametrize("status", ["error", "crash", "timeout", "missing", "fail"])
def test_an_item_that_was_out_of_order_as_a_whole_is_repaired_by_its_leaves(status):
    baseline = run()
    baseline.checks[0] = replace(baseline.checks[0], leaf="*", status=status)
    assert kinds(judge(newer(), baseline)) == [("note", "repaired"), ("note", "new")]
    gone = newer(plan=run().plan[1:], checks=run().checks[1:])
    assert kinds(judge(gone, baseline))[0] == ("block", "missing")


def test_a_case_that_is_gone_blocks():
    baseline = run()
    other = samples.planned(item="test_predict[mine-tf_xla-b13]", case="mine")
    baseline.plan.append(other)
    baseline.checks.append(other.check(leaf="output", status="pass", score=1.0, limit=64.0))
    found = judge(newer(), baseline)
    assert kinds(found) == [("block", "missing")]
    assert (found.findings[0].case, found.findings[0].runtime) == ("mine", "tf_xla")


def test_a_power_that_is_gone_blocks():
    made = newer()
    made.powers.pop()
    found = judge(made)
    assert kinds(found) == [("block", "missing")]
    assert (found.findings[0].noun, found.findings[0].probe, found.findings[0].leaf) == ("power", "predict", "v")


def power_check(status):
    planned_item = samples.planned(**gate_runs.item("power[reference-predict-b13]", probe="predict", tf_device="none"))
    return planned_item, planned_item.check(leaf="power", status=status, message="powerless")


@pytest.mark.parametrize("before", ["pass", "fail"])
def test_a_powerless_probe_blocks_even_if_it_was_so_before(before):
    baseline, made = run(), newer()
    for of, status in ((baseline, before), (made, "fail")):
        planned_item, check = power_check(status)
        of.plan.append(planned_item), of.checks.append(check)
    assert kinds(judge(made, baseline)) == [("block", "powerless")]


def test_a_probe_that_catches_no_error_at_all_blocks_whatever_its_check_says():
    made = newer(powers=[replace(power, smallest_relative_error=math.inf) for power in run().powers])
    assert kinds(judge(made)) == [("block", "powerless")]


def test_lost_power_warns():
    slower = [replace(power, smallest_relative_error=4.1e-4) for power in run().powers]
    blind = [run().powers[0], replace(run().powers[1], smallest_relative_error=math.inf)]
    assert kinds(judge(newer(powers=slower))) == [("warn", "power")]
    assert kinds(judge(newer(powers=blind))) == [("warn", "power")]
    nearly = [replace(power, smallest_relative_error=3.9e-4) for power in run().powers]
    assert kinds(judge(newer(powers=nearly))) == []


def test_a_missing_budget_blocks_unless_its_item_is_missing_too():
    found = judge(newer(budgets=[]))
    assert kinds(found) == [("block", "missing")]
    assert (found.findings[0].noun, found.findings[0].probe, found.findings[0].leaf) == ("budget", "predict", "output")
    made = newer(budgets=[])
    made.checks = [check for check in made.checks if check.probe != "predict"]
    made.plan = [planned for planned in made.plan if planned.probe != "predict"]
    assert {finding.noun for finding in judge(made).findings} == {"check"}


@pytest.mark.parametrize("column", ["rms", "max"])
@pytest.mark.parametrize("factor", [4.1, math.inf])
def test_a_wider_budget_warns(column, factor):
    wide = [replace(budget, **{column: getattr(budget, column) * factor}) for budget in run().budgets]
    assert kinds(judge(newer(budgets=wide))) == [("warn", "budget")]


def test_drift_within_the_limit_warns_from_the_factor_on():
    assert kinds(judge(with_check(1, score=5.9))) == []
    assert kinds(judge(with_check(1, score=6.1))) == [("warn", "drift")]


def test_drift_counts_from_the_floor():
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], score=0.1)
    assert kinds(judge(with_check(1, score=0.9), baseline)) == []
    assert kinds(judge(with_check(1, score=3.9), baseline)) == []
    assert kinds(judge(with_check(1, score=4.1), baseline)) == [("warn", "drift")]


@pytest.mark.parametrize("part", ["cpu", "cores", "instruction_sets", "architecture", "system"])
def test_bits_and_latency_are_compared_on_machines_of_one_kind_only(part):
    made = with_check(1, bits_equal=False)
    made.timings[0] = replace(made.timings[0], median_ns=1.6e6)
    assert kinds(judge(made)) == [("warn", "bits"), ("warn", "latency")]
    other = {"cpu": "b", "cores": 3, "instruction_sets": [], "architecture": "arm64", "system": "Darwin"}[part]
    for changed in (other, None):
        made.environment["machine"] = {**gate_runs.MACHINE, part: changed}
        found = judge(made)
        assert kinds(found) == [("note", "latency")]
        assert part.replace("_", " ") in found.findings[0].detail


def test_an_unknown_machine_is_like_no_other():
    baseline, made = run(), with_check(1, bits_equal=False)
    baseline.environment["machine"] = made.environment["machine"] = {"cpu": "a cpu"}
    assert kinds(judge(made, baseline)) == [("note", "latency")]


def test_another_python_is_no_other_machine():
    made = with_check(1, bits_equal=False)
    made.environment["machine"] = {**gate_runs.MACHINE, "python": "3.12.1"}
    assert kinds(judge(made)) == [("warn", "bits")]


def test_a_new_deprecation_warning_of_jax_or_tensorflow_warns():
    old, new = Deprecation("jax", "jax.core is going"), Deprecation("tensorflow", "tf.x is going")
    baseline, made = run(deprecations=[old]), newer(deprecations=[old, new, Deprecation("numpy", "np.y is going")])
    found = judge(made, baseline)
    assert kinds(found) == [("warn", "deprecation")]
    assert (found.findings[0].case, found.findings[0].detail) == ("tensorflow", "tf.x is going")


def test_deprecation_warnings_are_noted_beside_a_record_from_before_there_were_any():
    data = {**records.encode(run()), "schema": 1}
    del data["deprecations"]
    baseline = side.parse(msgspec.json.encode(data), "old.json")
    made = gate_runs.as_side(newer(deprecations=[Deprecation("jax", "going")]))
    assert kinds(gate.judge(baseline, made, gate_runs.POLICY)) == [("note", "deprecation")]
    assert gate.judge(baseline, gate_runs.as_side(newer()), gate_runs.POLICY).findings == []


def test_new_checks_are_noted_and_block_if_out_of_order():
    more = newer()
    more.checks.append(replace(more.checks[1], leaf="more"))
    assert kinds(judge(more)) == [("note", "new")]
    for status in ("fail", "error", "crash", "timeout", "missing", "fixed"):
        more.checks[-1] = replace(more.checks[-1], status=status)
        assert kinds(judge(more)) == [("block", "new and not in order")], status


def test_what_fails_in_both_is_noted_and_counted():
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status="fail", score=90.0)
    found = judge(with_check(1, status="fail", score=90.0), baseline)
    assert kinds(found) == [("note", "still failing")]
    assert (found.decision, found.compared, found.count("note")) == ("may upgrade", 4, 1)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"score": math.nan}, [("block", "worse")]),
        ({"score": math.inf}, [("block", "worse")]),
        ({"failure": "segfault"}, [("block", "worse")]),
        ({"score": 400.0}, [("block", "worse")]),
        ({"score": 1e12}, [("block", "worse")]),
        ({"score": 350.0}, [("note", "still failing")]),
    ],
)
def test_what_fails_worse_than_before_is_more_than_noted(changes, found):
    baseline = run()
    baseline.checks[1] = replace(baseline.checks[1], status="fail", score=90.0)
    assert kinds(judge(with_check(1, **{"status": "fail", "score": 90.0, **changes}), baseline)) == found


@pytest.mark.parametrize("state", ["aborted", "interrupted"])
def test_a_candidate_that_did_not_end_blocks_and_says_so(state):
    found = judge(newer(state=state))
    assert found.exit_code == 1
    assert kinds(found) == [("block", "incomplete")]
    assert state in found.sentence


def test_a_candidate_that_was_stopped_blocks_and_says_by_what():
    stopped = Stopped("error", "resolver", "jax 0.10.2 depends on numpy>=2 and tensorflow 2.16.2 on numpy<2.")
    found = judge(newer(state="aborted", stopped=stopped, plan=[], checks=[], powers=[]))
    assert found.exit_code == 1
    assert found.findings[0].kind == "incomplete"
    assert stopped.evidence.removesuffix(".") in found.findings[0].detail
    assert stopped.status in found.sentence


def test_a_candidate_in_which_tensorflow_answered_nothing_blocks_under_any_policy():
    easy = policy.Policy(gate_runs.POLICY.drift, (policy.Rule("advisory", "anything goes"),))
    made = newer(checks=[replace(check, status="known", score=None) for check in run().checks])
    found = judge(made, policy=easy)
    assert found.exit_code == 1
    assert found.findings[0].kind == "incomplete"


def test_what_cannot_be_compared():
    for baseline, candidate, why in (
        (run(), run(), "one and the same run"),
        (run(state="aborted"), newer(), "was aborted"),
        (run(state="interrupted"), newer(), "was interrupted"),
        (run(stopped=Stopped("crash", "crash", "signal 6")), newer(), "was stopped: signal 6"),
        (run(checks=[], plan=[]), newer(), "no checks"),
        (run(), newer(checks=[], plan=[]), "no checks"),
        (run(checks=[run().checks[3]]), newer(), "TensorFlow answered nothing"),
        (run(checks=[samples.check(item="other")], plan=[]), newer(), "no item in common"),
    ):
        with pytest.raises(NotComparableError, match=why) as error:
            judge(candidate, baseline)
        assert error.value.exit_code == 3


def test_other_modes_are_noted():
    assert ("note", "mode") in kinds(judge(newer(mode="split")))


def test_many_findings_of_a_kind_are_one_sentence_with_the_worst_as_example():
    made = newer()
    for number, score in ((1, 70.0), (2, 800.0)):
        made.checks[number] = replace(made.checks[number], status="fail", score=score)
    found = judge(made)
    assert [(group.level, group.count) for group in found.groups] == [("block", 2)]
    assert [finding.worst for finding in found.findings] == [800.0, 70.0]
    worst = found.findings[0]
    assert (worst.leaf, worst.detail) == ("bias", "score 800, limit 64")
    assert worst.detail in found.groups[0].sentence
    assert found.findings[1].detail not in found.groups[0].sentence


def test_the_environment_that_is_read_is_the_one_that_is_written():
    from parity.core import environment
    from parity.gate import machines, side

    assert set(machines.SPEED) <= environment.machine().keys() <= records.Machine.__annotations__.keys()
    assert set(side.PACKAGES) <= set(environment.PACKAGES)


def of_releases(**versions):
    """A run on a day after that of `run`, with these releases."""
    return newer(environment={"versions": versions, "machine": gate_runs.MACHINE})


@pytest.mark.parametrize(
    ("releases", "expected"),
    [
        ({"jax": "0.9.1", "tensorflow": "2.19.1"}, ("block", "swapped")),
        ({"jax": "0.9.1", "tensorflow": "2.20.0"}, ("block", "swapped")),
        ({"jax": "0.9.2", "tensorflow": "2.20.0rc1"}, ("block", "swapped")),
        ({"jax": "0.9.2.dev20260101", "tensorflow": "2.20.0"}, ("block", "swapped")),
        ({"jax": "0.9.1", "tensorflow": None}, ("block", "swapped")),
        ({"jax": "0.9.1", "tensorflow": "2.20.0", "numpy": "9.0"}, ("block", "swapped")),
        ({"jax": "0.9.1", "tensorflow": "2.21.0"}, ("warn", "partly older")),
        ({"jax": "nightly", "tensorflow": "2.20.0"}, ("warn", "unordered")),
    ],
)
def test_a_candidate_of_older_releases_only_blocks_and_a_mixed_or_unordered_one_warns(releases, expected):
    found = judge(of_releases(**releases))
    assert kinds(found) == [expected]
    assert found.exit_code == int(expected[0] == "block")


@pytest.mark.parametrize(
    "releases",
    [
        {"jax": "0.9.2", "tensorflow": "2.20.0"},
        {"jax": "0.9.2+local", "tensorflow": "2.20"},
        {"jax": "0.10.0", "tensorflow": "2.20.0"},
        {"jax": "0.9.2.post1", "tensorflow": "2.21.0rc0"},
        {"jax": None, "tensorflow": None},
    ],
)
def test_equal_newer_and_unknown_releases_are_not_taken_for_older(releases):
    assert kinds(judge(of_releases(**releases))) == []


@pytest.mark.parametrize(("before", "after", "expected"), [("0.10", "0.9", ["block"]), ("0.9", "0.10", [])])
def test_older_releases_of_packages_beside_the_pair_count_too(before, after, expected):
    versions = {"jax": "0.9.2", "tensorflow": "2.20.0"}
    baseline = run(environment={"versions": {**versions, "flax": before}, "machine": gate_runs.MACHINE})
    found = judge(of_releases(**versions, flax=after), baseline)
    assert [level for level, _ in kinds(found)] == expected


def test_equal_releases_that_ran_before_the_baseline_warn():
    assert kinds(judge(run(started_at="2025-12-01T00:00:00.000Z"))) == [("warn", "swapped")]


def test_swapped_sides_are_the_first_reason_whatever_else_got_worse():
    made = of_releases(jax="0.9.1", tensorflow="2.19.1")
    made.checks[1] = replace(made.checks[1], status="crash")
    assert kinds(judge(made)) == [("block", "swapped"), ("block", "crash")]


def test_a_policy_may_allow_a_downgrade(policy):
    found = judge(of_releases(jax="0.9.1", tensorflow="2.19.1"), policy=policy('downgrade = "advisory"'))
    assert (found.exit_code, kinds(found)) == (0, [("warn", "swapped")])
    assert found.findings[0].excuse in found.findings[0].sentence


def test_the_sentence_counts_what_was_compared_and_what_is_new():
    made = newer()
    made.checks += [replace(made.checks[1], leaf=f"more {number}") for number in range(20)]
    found = judge(made)
    assert found.compared == 4
    assert {"4", "20"} <= set(re.findall(r"\d+", found.sentence.partition("): ")[2]))
    assert found.count("note") == 20
