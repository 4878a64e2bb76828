"""Planted defects fail with their reason, honest float32 passes, and the side that moved is named."""

import math
import re

import ml_dtypes
import numpy as np
import pytest

from parity import records
from parity.scoring import accuracy, rules
from parity.scoring.compare import Distance
from parity.scoring.oracle import BIAS_LIMIT, judge_oracle
from parity.scoring.perturbation import perturb
from parity.scoring.rules import LIMIT, UNIT_ROUNDOFF, Budget, Ensemble, judge

RNG = np.random.default_rng(7)
INPUTS = {
    "data": RNG.normal(size=(13, 6)).astype(np.float32),
    "kernel": RNG.normal(size=(6, 6)).astype(np.float32),
    "bias": RNG.normal(size=6).astype(np.float32),
}


def evaluate(inputs, dtype, order=slice(None)):
    """A dense layer and a step of training it; `order` is that of the sums."""
    data, kernel, bias = (inputs[name].astype(dtype) for name in ("data", "kernel", "bias"))
    hidden = np.tanh(data[:, order] @ kernel[order] + bias)
    gradient = data.T @ (1 - hidden**2) / dtype(len(data))
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.maximum(hidden, 0))
        ratio = np.maximum(hidden, 0) / np.maximum(hidden, 0)
    return {
        "hidden": hidden,
        "kernel": kernel - dtype(0.125) * gradient,
        "logarithm": logarithm,
        "loss": np.asarray(hidden.mean()),
        "ratio": ratio,
        "steps": np.arange(4, dtype=np.uint32),
    }


ORACLE = evaluate(INPUTS, np.float64)
JAX = evaluate(INPUTS, np.float32)
OTHER_ORDER = evaluate(INPUTS, np.float32, order=slice(None, None, -1))


def measured_budgets():
    ensemble = Ensemble(ORACLE)
    for member in range(rules.MEMBERS):
        rng = np.random.default_rng(member)
        ensemble.add(evaluate({name: perturb(array, rng) for name, array in INPUTS.items()}, np.float32))
    return ensemble.budgets("8 perturbed evaluations in numpy")


BUDGETS = measured_budgets()


def verdicts(actual, jax=JAX, oracle=ORACLE, budgets=BUDGETS):
    return {j.leaf: j for j in judge(actual, jax, oracle, budgets, LIMIT)}


def changed(leaf, function, answer=OTHER_ORDER):
    return {**answer, leaf: function(answer[leaf])}


def moved(index, by):
    def move(array):
        array = array.copy()
        array[index] += by
        return array

    return move


def test_correct_float32_passes():
    found = verdicts(OTHER_ORDER)
    assert not np.array_equal(OTHER_ORDER["hidden"], JAX["hidden"])
    assert {leaf: j.status for leaf, j in found.items()} == dict.fromkeys(JAX, records.PASS)
    assert {leaf for leaf, j in found.items() if j.message is not None} == {"logarithm", "ratio"}  # not finite in parts
    assert 0 < found["hidden"].score < 4
    assert 0 < found["hidden"].jax_score < 4


def test_the_same_bits_have_the_same_score():
    found = verdicts(JAX)
    assert all(j.status == records.PASS and j.bits_equal for j in found.values())
    assert all(j.score == j.jax_score for j in found.values())


def test_a_pass_still_tells_its_distances():
    found = verdicts(OTHER_ORDER)["hidden"]
    assert found.max_abs_diff == np.abs(OTHER_ORDER["hidden"].astype(float) - JAX["hidden"].astype(float)).max()
    assert (found.bits_equal, found.max_ulp > 0) == (False, True)
    index = tuple(found.worst.index)
    assert index == np.unravel_index(np.abs(OTHER_ORDER["hidden"] - ORACLE["hidden"]).argmax(), (13, 6))
    assert found.worst.value == OTHER_ORDER["hidden"][index]
    assert (found.worst.jax, found.worst.oracle) == (JAX["hidden"][index], ORACLE["hidden"][index])


OVER = rf"score .* over the limit {LIMIT:g};"
DEFECTS = {
    "one element off": ("hidden", moved((5, 3), 1e-3), OVER),
    "a scalar off": ("loss", lambda a: a + np.float32(1e-4), OVER),
    "transposed square kernel": ("kernel", np.transpose, OVER),
    "rounded to bfloat16": ("kernel", lambda a: a.astype(ml_dtypes.bfloat16).astype(np.float32), OVER),
    "sign flip": ("hidden", np.negative, OVER),
    "all zero": ("hidden", np.zeros_like, OVER),
    "NaN masked by 0": ("ratio", np.nan_to_num, r"pattern of NaN and infinity differs from JAX's"),
    "infinity clipped": (
        "logarithm",
        lambda a: np.maximum(a, -1e30),
        r"pattern of NaN and infinity differs from JAX's",
    ),
    "infinity to NaN": (
        "logarithm",
        lambda a: np.where(np.isinf(a), np.float32(np.nan), a),
        r"pattern of NaN and infinity differs from JAX's",
    ),
    "NaN where there is none": ("hidden", moved((2, 1), np.nan), r"pattern of NaN and infinity differs from JAX's"),
    "dtype drift": ("hidden", lambda a: a.astype(np.float64), r"dtype float64, JAX's is float32"),
    "half precision": ("hidden", lambda a: a.astype(np.float16), r"dtype float16, JAX's is float32"),
    "signed integers": ("steps", lambda a: a.astype(np.int32), r"dtype int32, JAX's is uint32"),
    "shape drift": ("hidden", lambda a: a[:, :5], r"shape \(13, 5\), JAX's is \(13, 6\)"),
    "lost axis": ("loss", lambda a: a[None], r"shape \(1,\), JAX's is \(\)"),
    "integers off by one": (
        "steps",
        lambda a: a + np.uint32(1),
        r"must be exact: 4 of 4 elements differ, first 1 for 0",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_fails_with_its_reason_and_no_other_leaf_does(defect):
    leaf, function, reason = DEFECTS[defect]
    found = verdicts(changed(leaf, function))
    assert [name for name, j in found.items() if j.status != records.PASS] == [leaf]
    assert found[leaf].status == records.FAIL
    assert re.search(reason, found[leaf].message)


def test_the_worst_element_is_the_planted_one():
    assert verdicts(changed("hidden", moved((5, 3), 1e-3)))["hidden"].worst.index == [5, 3]
    assert verdicts(changed("hidden", moved((2, 1), np.nan)))["hidden"].worst.index == [2, 1]
    assert verdicts(changed("steps", moved(2, 1)))["steps"].worst.index == [2]


def test_a_missing_leaf_is_missing():
    found = verdicts({leaf: a for leaf, a in OTHER_ORDER.items() if leaf != "kernel"})
    assert found["kernel"].status == records.MISSING
    assert found["kernel"].message == "the runtime's answer lacks this leaf, which JAX's has"


def test_an_extra_leaf_fails():
    found = verdicts({**OTHER_ORDER, "extra": JAX["hidden"]})
    assert found["extra"].status == records.FAIL
    assert found["extra"].message == "the runtime's answer has this leaf, which JAX's lacks"


def test_a_leaf_without_oracle_fails():
    found = verdicts(OTHER_ORDER, oracle={leaf: a for leaf, a in ORACLE.items() if leaf != "kernel"})
    assert found["kernel"].status == records.FAIL
    assert found["kernel"].message == "the oracle lacks this leaf, which both answers have"


def test_a_misshapen_oracle_fails():
    for leaf in ("hidden", "steps"):
        found = verdicts(OTHER_ORDER, oracle={**ORACLE, leaf: ORACLE[leaf][:2]})[leaf]
        assert (found.status, found.score) == (records.FAIL, None)
        assert str(ORACLE[leaf][:2].shape) in found.message
    one = {"accuracy": np.ones((), np.float32)}
    assert accuracy.judge(one, one, {"accuracy": np.ones(2)}, 13, 13).status == records.FAIL
    [other_device] = judge_oracle(EXACT, ONE, {"leaf": np.ones(2)}, {})
    assert other_device.status == records.FAIL


def test_a_result_has_the_limit_by_which_it_was_judged():
    assert {j.limit for j in judge(OTHER_ORDER, JAX, ORACLE, BUDGETS, 7.0)} == {7.0}
    assert {j.limit for j in rules.judge_alike(JAX, JAX, BUDGETS, 3.0, "another")} == {3.0}
    assert {j.limit for j in rules.judge_identical(JAX, JAX, "another")} == {0.0}
    assert {j.limit for j in oracle_verdicts({}).values()} == {BIAS_LIMIT}
    assert counted(10).limit == counted(11).limit == 1.0


def test_an_integer_that_differs_is_shown_beside_jaxs_value_and_the_oracles_own():
    own, jax, oracle = (np.array([7, n], np.int32) for n in (1, 2, 3))
    [found] = judge({"leaf": own}, {"leaf": jax}, {"leaf": oracle}, {}, LIMIT)
    assert (found.worst.index, found.worst.value, found.worst.jax, found.worst.oracle) == ([1], 1, 2, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_an_empty_leaf_fails(dtype):
    empty = {"none": np.zeros((0, 3), dtype)}
    [found] = judge(empty, empty, {"none": np.zeros((0, 3))}, {"none": Budget(1.0, 1.0)}, LIMIT)
    assert (found.status, found.message) == (records.FAIL, "empty: there is nothing to compare")


TENSORFLOW_MOVED = "TensorFlow moved, JAX is where it should be"


@pytest.mark.parametrize("foreign", [(), ("a/kernel", "b")])
@pytest.mark.parametrize("moved", [TENSORFLOW_MOVED, "both moved"])
def test_of_a_users_artifact_tensorflow_alone_is_not_said_to_have_moved(foreign, moved):
    found = rules.about_artifact(rules.LeafResult("leaf", records.FAIL, message=f"score 9; {moved}"), foreign)
    assert "TensorFlow moved, " not in found.message.replace("or TensorFlow moved, ", "")
    assert ("weights" in found.message) is bool(foreign)
    assert ("JAX moved" in found.message) is (moved == "both moved")
    assert all(leaf in found.message for leaf in foreign)


def test_of_a_users_artifact_it_is_said_that_jax_moved():
    found = rules.LeafResult("leaf", records.FAIL, message="score 9; JAX moved")
    assert rules.about_artifact(found, ["a"]) == found


def broken(by):
    return changed("hidden", moved((5, 3), by))


@pytest.mark.parametrize("by", [1e-3, np.nan, np.inf])
def test_a_move_of_tensorflow_is_named(by):
    found = verdicts(broken(by))["hidden"]
    assert found.status == records.FAIL
    assert found.message.endswith(f"; {TENSORFLOW_MOVED}")
    assert found.jax_score < 4 < LIMIT < found.score


@pytest.mark.parametrize("by", [1e-3, np.nan, np.inf])
def test_a_move_of_both_is_named(by):
    found = verdicts(broken(by), jax=broken(by))["hidden"]
    assert found.status == records.FAIL
    assert found.message.endswith("; both moved")
    assert (found.bits_equal, found.worst.index) == (True, [5, 3])
    assert found.jax_score == found.score > LIMIT


@pytest.mark.parametrize("by", [1e-3, np.nan, np.inf])
def test_a_result_on_jax_itself_names_jax_alone(by):
    found = verdicts(broken(by), jax=broken(by))["hidden"]
    assert rules.about(found, "jax").message.endswith("; jax moved")
    assert rules.about(found, "toy_numpy").message == found.message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"no; {TENSORFLOW_MOVED}", "no; jax moved"),
        ("no; JAX moved", "no; jax moved"),
        ("no; neither moved", "no"),
        ("shape (2,); expected (3,)", "shape (2,); expected (3,)"),
        (None, None),
    ],
)
def test_on_jax_itself_every_attribution_is_to_jax_or_absent(message, expected):
    assert rules.about(rules.LeafResult("leaf", records.FAIL, message=message), "jax").message == expected


@pytest.mark.parametrize("by", [np.nan, np.inf])
def test_a_move_of_jax_is_named(by):
    found = verdicts(OTHER_ORDER, jax=broken(by))["hidden"]
    assert found.status == records.FAIL
    assert found.message.endswith("; JAX moved")
    assert found.score < 4 < LIMIT < found.jax_score


def test_a_runtime_that_is_right_passes_beside_a_jax_that_moved():
    found = verdicts(OTHER_ORDER, jax=broken(1e-3))["hidden"]
    assert found.status == records.PASS
    assert found.score < 4 < LIMIT < found.jax_score
    assert rules.attribution(found.score, found.jax_score, LIMIT) == "JAX moved"


def test_a_nan_is_found_beside_an_infinity_that_is_due():
    both = changed("logarithm", moved((0, 0), np.nan))
    assert np.isinf(ORACLE["logarithm"]).any()
    assert np.isfinite(ORACLE["logarithm"][0, 0])
    found = verdicts(both, jax=both)["logarithm"]
    assert found.status == records.FAIL
    assert "differs from the float64 oracle's; both moved" in found.message
    assert found.worst.index == [0, 0]


@pytest.mark.parametrize(
    ("score", "jax_score", "output"),
    [
        (1, 1, "neither moved"),
        (LIMIT, LIMIT, "neither moved"),
        (LIMIT + 1, 1, TENSORFLOW_MOVED),
        (math.nan, 1, TENSORFLOW_MOVED),
        (1, LIMIT + 1, "JAX moved"),
        (1, math.nan, "JAX moved"),
        (math.inf, math.inf, "both moved"),
        (math.nan, math.nan, "both moved"),
    ],
)
def test_attribution(score, jax_score, output):
    assert rules.attribution(score, jax_score, LIMIT) == output


ONE = {"leaf": np.ones(3, np.float32)}
EXACT = {"leaf": np.ones(3)}


def test_a_zero_budget_passes_without_error_only():
    [exact] = judge(ONE, ONE, EXACT, {"leaf": Budget(0.0, 0.0)}, LIMIT)
    assert (exact.status, exact.score) == (records.PASS, 0.0)
    off = {"leaf": np.nextafter(ONE["leaf"], np.float32(2))}
    [found] = judge(off, ONE, EXACT, {"leaf": Budget(0.0, 0.0)}, LIMIT)
    assert (found.status, found.score) == (records.FAIL, math.inf)


@pytest.mark.parametrize("budget", [Budget(math.nan, math.nan), Budget(math.nan, 1.0), Budget(1.0, math.nan)])
def test_a_nan_score_never_passes(budget):
    [found] = judge(ONE, ONE, {"leaf": np.full(3, 1 + 1e-9)}, {"leaf": budget}, LIMIT)
    assert math.isnan(found.score)
    assert (found.status, found.message) == (records.FAIL, f"score nan over the limit {LIMIT:g}; both moved")


def test_the_limit_itself_passes():
    actual = {"leaf": np.full(3, 1 + LIMIT / 1024, np.float32)}
    [at] = judge(actual, ONE, EXACT, {"leaf": Budget(1 / 1024, 1 / 1024)}, LIMIT)
    [over] = judge(actual, ONE, EXACT, {"leaf": Budget(1 / 1025, 1 / 1025)}, LIMIT)
    assert (at.score, at.status, over.status) == (LIMIT, records.PASS, records.FAIL)


def test_the_score_is_the_larger_of_rms_and_maximum():
    error = Distance(count=4, square_sum=16.0, max=3.0, argmax=0)
    assert rules.score(error, Budget(rms=1.0, max=1.0)) == 3.0
    assert rules.score(error, Budget(rms=0.1, max=1.0)) == pytest.approx(20.0)


def test_a_budget_is_at_least_the_unit_roundoff():
    oracle = {"leaf": np.array([3.0, -4.0]), "zero": np.zeros(2), "steps": np.arange(2)}
    ensemble = Ensemble(oracle)
    for _ in range(rules.MEMBERS):
        ensemble.add({leaf: a.astype(np.float32) for leaf, a in oracle.items()})
    budgets = ensemble.budgets("a source")
    assert budgets == {
        "leaf": Budget(rms=UNIT_ROUNDOFF * math.sqrt(12.5), max=UNIT_ROUNDOFF * 4, source="a source"),
        "zero": Budget(0.0, 0.0, "a source"),
    }


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_budget_is_the_rms_and_the_maximum_of_the_ensemble(with_bias):
    ensemble = Ensemble({"leaf": np.zeros(2)}, with_bias=with_bias)
    ensemble.add({"leaf": np.array([3.0, 4.0], np.float32)})
    ensemble.add({"leaf": np.array([0.0, 5.0], np.float32)})
    found = ensemble.budgets("here")["leaf"]
    assert (found.rms, found.max, found.source) == (math.sqrt(12.5), 5.0, "here")
    # The centre [1.5, 4.5] lies 3.354 (RMS) from 0, the members 1.118 from it.
    assert found.bias == pytest.approx(3.0 if with_bias else 0.0)


def counted(right, of=13, dtype=np.float32, jax=10, oracle=10, ambiguous=0):
    def answer(count, kind):
        return {"accuracy": np.asarray(kind(count) / kind(of))}

    return accuracy.judge(answer(right, dtype), answer(jax, np.float32), answer(oracle, np.float64), of, ambiguous)


def test_an_equal_accuracy_passes():
    found = counted(10)
    assert (found.leaf, found.status, found.score, found.bits_equal) == ("accuracy", records.PASS, 0.0, True)


def test_an_accuracy_off_by_one_fails():
    found = counted(11)
    assert (found.status, found.score, found.jax_score) == (records.FAIL, math.inf, 0.0)
    assert found.message == "11 of 13 examples are right, the oracle says 10; 0 of them are too close to call"


@pytest.mark.parametrize(("right", "status"), [(8, "pass"), (12, "pass"), (7, "fail"), (13, "fail")])
def test_an_accuracy_may_differ_by_the_ambiguous_examples(right, status):
    assert counted(right, ambiguous=2).status == status


def test_an_accuracy_is_measured_from_the_oracle():
    found = counted(10, jax=11)
    assert (found.status, found.score, found.jax_score) == (records.PASS, 0.0, math.inf)


@pytest.mark.parametrize("right", [10.5, 9.99, math.nan, math.inf])
def test_an_accuracy_counts_examples(right):
    found = counted(right, ambiguous=13)
    assert found.status == records.FAIL
    assert "is not a number of examples over the batch size 13" in found.message


@pytest.mark.parametrize("of", [1, 256, 1797, 10_000, 60_000, 1_281_167])
def test_every_count_of_examples_is_one(of):
    for right in {0, 1, of // 3, of - 1, of}:
        assert counted(right, of=of, jax=right, oracle=right).status == records.PASS
    assert counted(of - 0.5, of=of, jax=of, oracle=of, ambiguous=of).status == records.FAIL


def test_an_accuracy_of_another_dtype_or_shape_fails():
    assert counted(10, dtype=np.float64).message == "dtype float64, JAX's is float32"
    one = {"accuracy": np.ones((), np.float32)}
    found = accuracy.judge({"accuracy": np.ones(1, np.float32)}, one, {"accuracy": np.ones(())}, 13, 13)
    assert (found.status, found.message) == (records.FAIL, "shape (1,), JAX's is ()")


def test_an_accuracy_with_other_leaves_fails():
    one = {"accuracy": np.ones((), np.float32)}
    oracle = {"accuracy": np.ones(())}
    assert accuracy.judge({}, one, oracle, 13, 13).status == records.MISSING
    assert accuracy.judge({**one, "more": one["accuracy"]}, one, oracle, 13, 13).status == records.FAIL
    assert accuracy.judge(one, one, {}, 13, 13).status == records.FAIL


def test_ambiguous_rows_are_those_whose_margin_is_within_twice_the_error():
    scores = np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.0], [0.0, 0.25, 0.5], [3.0, 2.0, 0.0]])
    assert accuracy.ambiguous_rows(scores, Budget(0.0, 0.0), LIMIT) == 1
    assert accuracy.ambiguous_rows(scores, Budget(0.0, 0.125 / LIMIT), LIMIT) == 2
    assert accuracy.ambiguous_rows(scores, Budget(0.0, 0.25 / LIMIT), LIMIT) == 3
    assert accuracy.ambiguous_rows(scores[:, :1], Budget(0.0, 1.0), LIMIT) == 0
    assert accuracy.ambiguous_rows(scores[:, 0], Budget(0.0, 1.0), LIMIT) == 0


FINITE = ("hidden", "kernel", "loss", "steps")
HONEST = {leaf: ORACLE[leaf] for leaf in FINITE}


def oracle_verdicts(changes):
    jax = {leaf: JAX[leaf] for leaf in FINITE}
    return {j.leaf: j for j in judge_oracle({**HONEST, **changes}, jax, {**HONEST, **changes}, {})}


def test_a_correct_oracle_passes():
    assert {leaf: j.status for leaf, j in oracle_verdicts({}).items()} == dict.fromkeys(FINITE, records.PASS)


def with_nan(array):
    return moved((0, 0), np.nan)(array)


@pytest.mark.parametrize(
    ("oracle", "reason"),
    [
        (JAX["hidden"].astype(np.float64), "JAX's float32 answer to the last bit"),
        (ORACLE["hidden"].astype(np.float32), "dtype float32, an oracle is float64"),
        (with_nan(ORACLE["hidden"]), "not finite"),
        (moved((0, 0), np.inf)(ORACLE["hidden"]), "not finite"),
        (ORACLE["hidden"][:5], r"shape (5, 6), JAX's is (13, 6)"),
    ],
    ids=["JAX again", "float32", "NaN", "infinite", "short"],
)
def test_a_false_oracle_fails(oracle, reason):
    found = oracle_verdicts({"hidden": oracle})
    assert [leaf for leaf, j in found.items() if j.status != records.PASS] == ["hidden"]
    assert found["hidden"].status == records.FAIL
    assert reason in found["hidden"].message


@pytest.mark.parametrize(("bias", "status"), [(BIAS_LIMIT, records.PASS), (BIAS_LIMIT + 1, records.FAIL)])
def test_an_oracle_lies_at_the_centre_of_rounded_results(bias, status):
    jax, oracle = {"hidden": JAX["hidden"]}, {"hidden": ORACLE["hidden"]}
    [found] = judge_oracle(oracle, jax, oracle, {"hidden": Budget(1.0, 1.0, bias=bias)})
    assert (found.status, found.score) == (status, bias)


@pytest.mark.parametrize(
    ("bias", "status"), [(1.0, records.PASS), (BIAS_LIMIT + 1, records.FAIL), (math.nan, records.FAIL)]
)
def test_an_oracle_may_lie_at_the_centre_of_sums_in_float64_instead(bias, status):
    jax, oracle, far = {"hidden": JAX["hidden"]}, {"hidden": ORACLE["hidden"]}, {"hidden": Budget(1.0, 1.0, bias=1e3)}
    wide_sums = {"hidden": Budget(1.0, 1.0, bias=bias)}
    [found] = judge_oracle(oracle, jax, oracle, far, with_wide_sums=lambda: wide_sums)
    assert found.status == status
    [near] = judge_oracle(oracle, jax, oracle, {"hidden": Budget(1.0, 1.0)}, with_wide_sums=lambda: 1 / 0)
    assert (near.status, near.message) == (records.PASS, None)


def test_an_oracle_of_other_integers_fails():
    found = oracle_verdicts({"steps": ORACLE["steps"] + np.uint32(1)})["steps"]
    assert (found.status, "must be exact" in found.message) == (records.FAIL, True)


def test_an_oracle_with_other_leaves_fails():
    jax = {leaf: JAX[leaf] for leaf in FINITE}
    [missing] = [
        j for j in judge_oracle({leaf: HONEST[leaf] for leaf in FINITE[1:]}, jax, HONEST, {}) if j.leaf == "hidden"
    ]
    assert missing.status == records.MISSING
    assert oracle_verdicts({"extra": ORACLE["hidden"]})["extra"].status == records.FAIL


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, ml_dtypes.bfloat16])
def test_only_an_oracle_of_values_that_nothing_rounds_may_equal_jax(dtype):
    coarse = np.arange(1, 7).reshape(3, 2).astype(dtype)
    fine = np.nextafter(coarse.real, coarse.real.dtype.type(9)).astype(dtype)
    assert (coarse != fine).any()
    for jax, exact_as_it_is, status in (
        (coarse, True, records.PASS), (coarse, False, records.FAIL), (fine, True, records.FAIL),
    ):  # fmt: skip
        oracle = {"leaf": jax.astype(np.complex128 if dtype is np.complex64 else np.float64)}
        [found] = judge_oracle(
            oracle, {"leaf": jax}, oracle, {}, lambda alone, e=exact_as_it_is: ("leaf",) if alone and e else ()
        )
        assert found.status == status


def test_an_oracle_of_zeros_may_equal_jax():
    [found] = judge_oracle({"dead": np.zeros(3)}, {"dead": np.zeros(3, np.float32)}, {"dead": np.zeros(3)}, {})
    assert (found.status, found.bits_equal) == (records.PASS, True)
