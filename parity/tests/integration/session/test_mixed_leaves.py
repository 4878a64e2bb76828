"""A run about a model whose leaves are of every kind: floats, complex numbers, integers, truth values, and no axes."""

import pytest

from parity import records
from parity.tests.support import field_cases, samples

pytestmark = pytest.mark.slow

PROBES = ("predict", "eval_gradient", "power", "relations", "seeded_defects")


def asked(out, probes):
    chosen = [f"--probe={name}" for name in probes]
    chosen += [f"--runtime={name}" for name in ("jax", "jax_float64", "saved_model")]
    case = f"--case={field_cases.__file__}:mixed"
    done = samples.inside("run", case, "--batch-size=13", *chosen, f"--out={out}", cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    return records.read(out)


@pytest.fixture(scope="module")
def run(tmp_path_factory, frameworks):
    return asked(tmp_path_factory.mktemp("mixed"), PROBES)


def test_every_leaf_is_scored(run):
    leaves = {check.leaf for check in run.checks if (check.probe, check.runtime) == ("predict", "saved_model")}
    assert leaves >= {"value", "spectrum", "quantised", "positive"}
    assert {check.leaf for check in run.checks if check.probe == "eval_gradient"} >= {"scale"}


def test_every_planned_probe_has_checks_and_all_pass(run):
    assert {check.test for check in run.checks} >= set(PROBES)
    assert {check.status for check in run.checks} == {records.PASS}


@pytest.mark.exhaustive
def test_its_training_is_followed_in_tensorflow(tmp_path, frameworks):
    checks = asked(tmp_path, ["trajectory"]).checks
    assert {check.test for check in checks} >= {"trajectory"}
    assert {check.status for check in checks} == {records.PASS}
