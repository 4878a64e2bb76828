"""Several tests of a project that have one probe, and failures that are alike."""

import pytest

from parity import records
from parity.session.recording import RunRecord
from parity.tests.support import samples

pytestmark = pytest.mark.slow

CASE = """
import dataclasses
from parity.tests.support import tiny

case = dataclasses.replace(tiny.tiny, name="mine", probes=("predict",), accuracy=None)
"""

OPTIONS = (
    "--parity-runtime=jax_float64", "--parity-runtime=tf_graph", "--parity-batch-size=13", "--parity-case=mine.py:case",
)  # fmt: skip

SHARED = """
import numpy as np
import pytest

from parity import Probe, assert_in_order, every_runtime, score, seeded_defect


def confidence(answers):
    return {leaf: np.exp(a).max(axis=-1) for leaf, a in answers["predict"].items()}


def biased(answers):
    return {leaf: a * a.dtype.type(1.01 if a.dtype == np.float32 else 1) for leaf, a in answers["predict"].items()}


def divided(answers):
    raise ZeroDivisionError("I divide by zero.")


def larger(answers):
    return {**answers, "predict": {leaf: 1.01 * array for leaf, array in answers["predict"].items()}}


def probe(function, name=""):
    return Probe(name=name or function.__name__, plan=every_runtime, evaluation="predict", derive=function)


@pytest.mark.parity_probe(probe(confidence))
def test_confidence(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "confidence", runtime, batch.size)))


@pytest.mark.parity_probe(probe(confidence))
def test_defect(subject, runtime, batch, record):
    assert_in_order(record(seeded_defect(subject, "confidence", runtime, batch.size, larger)))


@pytest.mark.parity_probe(probe(confidence))
def test_again(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "confidence", runtime, batch.size)))


@pytest.mark.parity_probe(probe(biased))
def test_biased(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "biased", runtime, batch.size)))


@pytest.mark.parity_probe(probe(biased))
def test_biased_defect(subject, runtime, batch, record):
    assert_in_order(record(seeded_defect(subject, "biased", runtime, batch.size, larger)))


@pytest.mark.parity_probe(probe(divided))
def test_divided(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "divided", runtime, batch.size)))


@pytest.mark.parity_probe(probe(confidence, "quiet"))
def test_silent(subject, runtime, batch):
    pass


@pytest.mark.parity_probe(probe(confidence, "quiet"))
def test_skipped(subject, runtime, batch):
    pytest.skip("not today")


@pytest.mark.xfail(reason="upstream")
@pytest.mark.parity_probe(probe(confidence, "expected"))
def test_expected(subject, runtime, batch):
    assert 0
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory, frameworks):
    """A run in which several tests have the plan items of one probe, and a derivation fails alike on every runtime."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "mine.py").write_text(CASE)
    (folder / "test_mine.py").write_text(SHARED)
    done = samples.pytest_inside(*OPTIONS, "--parity-out=out", "test_mine.py", cwd=folder)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return records.read(folder / "out").checks, done.stdout


def test_two_tests_of_one_probe_cannot_record_a_leaf_twice(shared):
    checks, output = shared
    assert len({(check.item, check.leaf) for check in checks}) == len(checks)
    refused = [check for check in checks if (check.probe, check.status) == ("confidence", records.ERROR)]
    assert {(check.runtime, check.leaf) for check in refused} == {("jax_float64", "*"), ("tf_graph", "*")}
    for check in refused:
        parts = ["'output'", check.item, "test_mine.py::test_confidence[", "test_mine.py::test_again["]
        assert [part for part in parts if part not in check.message] == []
    assert "check: leaf 'output'" in output
    assert "\n  test_again[mine-tf_graph-b13]\n" in output


def test_each_check_is_repeated_by_its_own_test(shared):
    repeats = {
        (check.probe, check.leaf, check.status): check.repeat for check in shared[0] if check.runtime == "jax_float64"
    }
    own = {
        ("confidence", "output", records.PASS): "test_confidence[",
        ("confidence", "*", records.ERROR): "test_again[",
        ("biased", "output", records.FAIL): "test_biased[",
        ("biased", "seeded_defect/larger", records.PASS): "test_biased_defect[",
    }
    assert {key: test for key, test in own.items() if f"::{test}" not in repeats[key]} == {}


def test_a_seeded_defect_in_a_test_of_its_own_is_in_order_on_every_runtime(shared):
    found = {c.runtime: c.status for c in shared[0] if (c.probe, c.leaf) == ("confidence", "seeded_defect/larger")}
    assert found == {"jax_float64": records.PASS, "tf_graph": records.PASS}


def test_a_derivation_that_fails_alike_everywhere_is_shown_once_and_recorded_for_each(shared):
    checks, output = shared
    failed = {check.runtime: check.status for check in checks if check.probe == "divided"}
    assert failed == {"jax_float64": records.ERROR, "tf_graph": records.ERROR}
    assert output.count("derive raised ZeroDivisionError") == 1
    assert "1 failed alike" in output


def test_an_expected_failure_is_not_called_skipped(shared):
    [message] = {check.message for check in shared[0] if check.probe == "expected"}
    assert "xfail" in message
    assert "upstream" in message
    assert "skipped" not in message


@pytest.mark.parametrize("before", [records.KNOWN, records.MISSING])
def test_an_error_of_a_second_test_is_recorded_unless_the_item_is_not_in_order_already(before):
    record = RunRecord(samples.run(plan=[samples.planned()]), ())
    record.add(samples.check(leaf=records.WHOLE, status=before))
    for _ in range(2):
        record.error(samples.planned(), RuntimeError("broken"), None, "", None)
        record.missing(samples.planned(), "its test was skipped", "")
    known = [(records.WHOLE, records.KNOWN), (records.WHOLE_AGAIN, records.ERROR)]
    expected = known if before == records.KNOWN else [(records.WHOLE, records.MISSING)]
    assert [(check.leaf, check.status) for check in record.run.checks] == expected
