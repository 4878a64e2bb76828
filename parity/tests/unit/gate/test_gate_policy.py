"""The policy: what it changes, and what of it is refused."""

import msgspec
import pytest
from msgspec.structs import replace

from parity import gate
from parity.core.errors import UsageError
from parity.gate import policy as policy_module
from parity.tests.support import gate_runs, samples
from parity.tests.support.gate_runs import judge, kinds, with_check
from parity.tests.support.policies import DRIFT, rule


def test_single_operations_are_advisory_and_nothing_else_is():
    shipped = gate.load_policy()
    assert shipped.excuse("operations", "operations", "tf_graph").startswith("single operations are about the pair")
    assert shipped.excuse("reference", "predict", "tf_graph") == ""
    planned_item = samples.planned(
        item="test_operations[erf]", case="operations", probe="operations", runtime="tf_graph"
    )
    baseline, made = gate_runs.run(), gate_runs.newer()
    for of, status in ((baseline, "pass"), (made, "error")):
        of.plan.append(planned_item)
        of.checks.append(planned_item.check(leaf="erf", status=status))
    found = judge(made, baseline)
    assert (found.decision, kinds(found)) == ("may upgrade", [("warn", "error")])
    assert found.findings[0].excuse.startswith("single operations")
    assert found.compared == 5
    made.checks[-1] = replace(made.checks[-1], leaf="*")
    assert kinds(judge(made, baseline)) == [("warn", "missing"), ("warn", "new and not in order")]
    for status in ("crash", "timeout", "missing"):
        made.checks[-1] = replace(made.checks[-1], leaf="erf", status=status)
        assert kinds(judge(made, baseline)) == [("block", status)]
    made.plan.pop(), made.checks.pop()
    assert kinds(judge(made, baseline)) == [("block", "missing")]


def test_no_rule_excuses_a_power_that_is_missing(policy):
    made = gate_runs.newer(powers=gate_runs.run().powers[:1])
    assert kinds(judge(made, policy=policy(DRIFT + rule()))) == [("block", "missing")]


def test_a_remedy_that_an_advisory_check_needs_is_none_that_the_upgrade_needs(policy):
    found = judge(with_check(1, status="remedied"), policy=policy(DRIFT + rule(runtime="tf_graph")))
    assert (found.decision, kinds(found)) == ("may upgrade", [("warn", "remedied")])


@pytest.mark.parametrize("where", [{"case": "ref*"}, {"probe": "train_*"}, {"runtime": "tf_graph"}, {}])
def test_an_advisory_rule_turns_a_block_into_a_warning_with_its_reason(policy, where):
    found = judge(with_check(1, status="fail"), policy=policy(DRIFT + rule(**where)))
    assert (found.exit_code, kinds(found)) == (0, [("warn", "worse")])
    assert found.findings[0].excuse == "it is known"
    assert found.findings[0].excuse in found.findings[0].sentence


def test_a_candidate_does_not_move_under_an_easier_rule():
    made = with_check(1, status="fail")
    made.plan[1] = replace(made.plan[1], case="operations")
    assert judge(made).exit_code == 1


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"case": "mine"}, ["mine", "reference"]),
        ({"probe": "predcit"}, ["predcit", "predict", "train_gradient"]),
        ({"runtime": "tf_*l"}, ["tf_*l", "tf_xla", "tf_graph"]),
        ({"probe": "train_gradient", "runtime": "tf_xla"}, ["train_gradient", "tf_xla"]),
    ],
)
def test_a_rule_that_matches_nothing_is_refused_and_named(policy, where, named):
    with pytest.raises(UsageError, match=r"rule 1 of the policy .* matches nothing") as error:
        judge(gate_runs.newer(), policy=policy(DRIFT + rule(**where)))
    assert error.value.exit_code == 2
    assert all(name in str(error.value) for name in named)


def test_the_shipped_rules_may_match_nothing_and_so_may_copies_of_them(policy):
    text = policy_module.SHIPPED.read_text(encoding="utf-8")
    assert not any(place.case == "operations" for place in gate_runs.run().plan)
    assert judge(gate_runs.newer(), policy=policy(text)).exit_code == 0
    with pytest.raises(UsageError, match="rule 2 of the policy"):
        judge(gate_runs.newer(), policy=policy(text + rule(case="refrence")))


@pytest.mark.parametrize(
    "where", [{"probe": "predict"}, {"runtime": "tf_x*"}, {"probe": "latency", "runtime": "tf_xla"}]
)
def test_a_rule_for_elsewhere_does_not(policy, where):
    assert judge(with_check(1, status="fail"), policy=policy(DRIFT + rule(**where))).exit_code == 1


def test_the_last_matching_rule_decides(policy):
    soft, hard = rule(case="reference"), rule("hard", runtime="tf_graph")
    assert judge(with_check(1, status="fail"), policy=policy(DRIFT + soft + hard)).exit_code == 1
    assert judge(with_check(1, status="fail"), policy=policy(DRIFT + hard + soft)).exit_code == 0


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("[drift]\nscore = 9\n", {"drift": {"score": 9.0}}),
        ("[drift]\nscore = 9\nmemory = 3\n", {"drift": {"score": 9.0, "memory": 3.0}}),
        ("rule = []\n", {"rule": ()}),
        ('downgrade = "advisory"\n', {"downgrade": "advisory"}),
    ],
)
def test_a_policy_overrides_the_package_s_key_by_key(policy, text, changed):
    shipped = msgspec.to_builtins(gate.load_policy())
    drift = {**shipped["drift"], **changed.pop("drift", {})}
    assert msgspec.to_builtins(policy(text)) == {**shipped, **changed, "drift": drift}


def test_the_factors_are_the_policys(policy):
    assert kinds(judge(with_check(1, score=3.1), policy=policy(DRIFT))) == [("warn", "drift")]
    assert kinds(judge(with_check(1, score=3.1))) == []


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("drift", "is not TOML"),
        ("drift = 3", r"Expected `object`, got `int` - at `\$\.drift`"),
        ("hurry = 2\n", "unknown field `hurry`"),
        ("[drift]\nhurry = 2\n", r"unknown field `hurry` - at `\$\.drift`"),
        ('downgrade = "soft"\n', r"'soft' - at `\$\.downgrade`"),
        (DRIFT + "hurry = 2\n", r"unknown field `hurry` - at `\$\.drift`"),
        (DRIFT.replace("score = 2", "score = 0.5"), r">= 1.0 - at `\$\.drift\.score`"),
        (DRIFT.replace("score = 2", 'score = "2"'), r"got `str` - at `\$\.drift\.score`"),
        (DRIFT.replace("score = 2", "score = inf"), r"at `\$\.drift\.score`"),
        (DRIFT.replace("score = 2", "score = nan"), r"at `\$\.drift\.score`"),
        (DRIFT + rule("soft"), r"'soft' - at `\$\.rule\[0\]\.level`"),
        (DRIFT + rule(reason=""), r"at `\$\.rule\[0\]\.reason`"),
        (DRIFT + rule(leaf="kernel"), r"unknown field `leaf` - at `\$\.rule\[0\]`"),
        (DRIFT + '[[rule]]\nlevel = "hard"\n', "missing required field `reason`"),
    ],
)
def test_what_is_no_policy_is_refused_with_file_key_and_expectation(policy, text, output):
    with pytest.raises(UsageError, match=rf"(?s)policy\.toml.*{output}.*as in|{output}.*Expected a file like") as error:
        policy(text)
    assert error.value.exit_code == 2


def test_a_policy_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read the policy"):
        gate.load_policy(tmp_path / "none.toml")


def test_lost_power_that_is_advisory_only_warns(policy):
    made = gate_runs.newer(
        powers=[replace(power, smallest_relative_error=float("inf")) for power in gate_runs.run().powers]
    )
    assert kinds(judge(made, policy=policy(DRIFT + rule(probe="predict")))) == [("warn", "powerless")]
