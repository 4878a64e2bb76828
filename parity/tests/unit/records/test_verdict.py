"""A run is in order only where everything planned was seen, and its verdict says why it is not."""

import pytest

from parity import records
from parity.records import Check
from parity.tests.support import samples

PASSED = [samples.check(), samples.check(status=records.KNOWN), samples.check(status=records.REMEDIED)]


def test_all_passed_is_in_order():
    run = samples.run(plan=[samples.planned()], checks=PASSED)
    assert run.in_order()
    assert run.all_checks() == PASSED
    assert run.verdict() == (
        "JAX 0.10.2 and TensorFlow 2.21.0 are in parity: 2 checks passed, 1 of them only with a remedy, "
        "1 failed as listed in the known issues."
    )


def test_the_verdict_names_the_remedy():
    remedy = records.Remedy("reference", "tensorflow==2.21.0", "stablehlo_skew", "vhlo.log_v2 in StableHLO 1.13.7")
    run = samples.run(plan=[samples.planned()], checks=[PASSED[2]], remedies=[remedy])
    assert run.in_order()
    assert "in parity with a remedy: 1 check passed" in run.verdict()
    assert "stablehlo_skew, vhlo.log_v2 in StableHLO 1.13.7" in run.verdict()
    assert 'readable_by("tensorflow==2.21.0")' in run.verdict()


@pytest.mark.parametrize("status", sorted(set(records.STATUSES) - set(records.IN_ORDER)))
def test_one_bad_status_is_not_in_order(status):
    run = samples.run(checks=[*PASSED, samples.check(status=status)])
    assert not run.in_order()
    assert "in parity" not in run.verdict()
    one, several = records.NOUNS[status]
    assert f"1 {one}, of 4 checks" in run.verdict()
    run.checks.append(samples.check(status=status))
    assert f"2 {several}, of 5 checks" in run.verdict()


def test_runtimes_without_tensorflow_that_alone_are_not_in_order_are_named():
    alone = {"tf_device": records.NO_DEVICE, "status": records.FAIL}
    bad = [samples.check(runtime=name, **alone) for name in ("toy_numpy", "toy_numpy", "jax")]
    one, two = (samples.run(checks=[*PASSED, *bad[:n]]) for n in (2, 3))
    assert "toy_numpy is not in order: 2 failures, of 5 checks" in one.verdict()
    assert "toy_numpy and jax are not in order: 3 failures, of 6 checks" in two.verdict()
    assert not one.in_order()
    both = samples.run(checks=[*bad, samples.check(status=records.FAIL)])
    assert both.verdict().startswith("JAX 0.10.2 and TensorFlow 2.21.0 are not in order: 4 failures")


def test_what_was_planned_and_not_seen_is_missing():
    run = samples.run(plan=[samples.planned(), samples.planned(item="other", probe="rng")], checks=PASSED)
    missing = run.all_checks()[-1]
    assert (missing.item, missing.probe, missing.leaf, missing.status) == ("other", "rng", "*", records.MISSING)
    assert not run.in_order()
    assert "1 missing answer, of 4 checks" in run.verdict()


def test_nothing_checked_is_not_in_order():
    assert not samples.run().in_order()
    assert samples.run().verdict() == "Nothing was checked."


def test_an_interrupted_run_has_no_verdict():
    run = samples.run(checks=PASSED, state=records.INTERRUPTED)
    assert not run.in_order()
    assert run.verdict().startswith("No verdict on JAX 0.10.2 and TensorFlow 2.21.0.")
    assert "interrupted" in run.verdict()


def test_an_interrupted_run_still_tells_its_failures():
    run = samples.run(checks=[samples.check(status=records.FAIL)], state=records.INTERRUPTED)
    assert "1 failure, of 1 check." in run.verdict()
    assert "interrupted" in run.verdict()


def test_the_verdict_names_what_is_not_installed():
    run = samples.run(environment={"versions": {"jax": None}}, checks=[Check(**samples.ITEM, leaf="*", status="pass")])
    assert "JAX (not installed) and TensorFlow (not installed)" in run.verdict()


@pytest.mark.parametrize("number", [1, 2])
def test_the_verdict_counts_in_words_that_agree(number):
    """Of every kind: in parity, stopped, JAX alone, not in order."""
    checks = [samples.check(item=f"{nth}") for nth in range(number)]
    alone = [samples.check(item=f"{nth}", tf_device=records.NO_DEVICE) for nth in range(number)]
    bad = [samples.check(item=f"{nth}", status=records.FAIL) for nth in range(number)]
    runs = [{"checks": checks}, {"checks": checks, "state": records.ABORTED}, {"checks": alone}, {"checks": bad}]
    text = " ".join(samples.run(**changes).verdict() for changes in runs)
    assert text.count("check" if number == 1 else "checks") == len(runs)
    assert ("checks" in text) is (number > 1)
    assert "all 1" not in text
