"""A runtime of another distribution, found by its entry point, is planned, scored, recorded, reported and gated."""

import json
import os

import pytest

from parity import records
from parity.records import FAIL, NO_DEVICE, PASS
from parity.tests.support import samples

pytestmark = pytest.mark.slow

TOY = '''\
"""The shipped case `ratings`, written again in numpy."""

import os

import numpy as np

from parity import Capabilities, Runtime


class ToyNumpy(Runtime):
    name = "toy_numpy"
    capabilities = Capabilities(
        source="case", evaluations=frozenset({"predict"}), gradients=False, carried_state=False, requires=("numpy",)
    )

    def compute(self, evaluation, batch, device):
        _, state = self.model.require_case()
        params = state.params
        x = np.concatenate([params["embedding"][batch.data["user"]], batch.data["context"]], axis=-1)
        x = np.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
        rating = (x @ params["output"]["kernel"])[:, 0]
        return {"predict": {"output": rating * np.float32(os.environ.get("TOY_FACTOR", "1"))}}
'''
LEAN = """
import dataclasses
from parity.cases.shipped import ratings

case = dataclasses.replace(ratings.case, probes=("predict",))
"""
"""Only predictions are asked, so no gradient is exported."""
SELECTED = ["--case=lean.py:case", "--batch-size=13", "--runtime=jax", "--runtime=toy_numpy"]
COMPARED = ["--runtime=jax_float64", "--runtime=saved_model", "--probe=predict"]
RUNS = {
    "right": ("1", [*COMPARED, "--probe=relations", "-k", "predict or toy_numpy"]),
    "wrong": ("1.001", COMPARED),
    "alone": ("1", ["--probe=predict", "--probe=seeded_defects"]),
}
"""What the toy multiplies by, and what is asked: right, off by a thousandth, and without TensorFlow."""
ONE_AFTER_THE_OTHER = """
import json, os, sys
from parity.tests.support import samples

done = {}
for name, (factor, options) in json.loads(sys.argv[1]).items():
    os.environ["TOY_FACTOR"] = factor
    found = samples.inside("run", *options, "--out", name, cwd=".")
    done[name] = [found.returncode, found.stdout]
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed distribution."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toy_runtime.py").write_text(TOY)
    info = folder / "toy_runtime-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[parity.runtimes]\ntoy_numpy = toy_runtime:ToyNumpy\n")
    return folder


def started(site, *arguments, cwd=None):
    """Python, in a process that finds the distribution of a folder."""
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return samples.python(*arguments, env={**os.environ, "PYTHONPATH": path}, cwd=cwd, timeout=400)


@pytest.fixture(scope="module")
def runs(site, tmp_path_factory):
    """The folder of the records, and by name the exit codes and outputs; in one process, which imports once."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "lean.py").write_text(LEAN)
    asked = {name: (factor, [*SELECTED, *options]) for name, (factor, options) in RUNS.items()}
    done = started(site, "-c", ONE_AFTER_THE_OTHER, json.dumps(asked), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_an_installed_runtime_is_planned_for_the_probes_it_declares(runs):
    folder, _ = runs
    run = records.read(folder / "right")
    mine = [item for item in run.plan if item.runtime == "toy_numpy"]
    assert {item.test for item in mine} == {"predict", "relations"}
    assert {item.variant for item in mine if item.test == "relations"} == {"split_batch", "permuted_rows", "padding"}
    assert all((item.jax_device, item.tf_device) == ("cpu:0", NO_DEVICE) for item in mine)
    assert set(run.runtimes()) == {"jax", "jax_float64", "saved_model", "toy_numpy"}


def test_it_is_run_scored_and_recorded(runs):
    folder, done = runs
    for name, code in (("right", 0), ("wrong", 1)):
        assert done[name][0] == code, done[name][1]
    [check] = [c for c in records.read(folder / "right").checks if (c.test, c.runtime) == ("predict", "toy_numpy")]
    assert check.status == PASS
    assert check.score is not None
    assert check.tf_device == NO_DEVICE
    [bad] = [c for c in records.read(folder / "wrong").checks if (c.test, c.runtime) == ("predict", "toy_numpy")]
    assert (bad.status, bad.score > bad.limit) == (FAIL, True)
    assert "toy_numpy moved" in bad.message


def test_without_tensorflow_there_is_no_verdict(runs):
    folder, done = runs
    assert done["alone"][0] == 3, done["alone"][1]
    run = records.read(folder / "alone")
    assert {check.status for check in run.checks} == {PASS}
    assert not run.compared()
    assert {item.test for item in run.plan if item.runtime == "toy_numpy"} == {"predict", "seeded_defects"}


def test_the_report_and_the_terminal_name_an_installed_runtime(runs):
    folder, done = runs
    assert "toy_numpy" in (folder / "right/index.html").read_text()
    assert "toy numpy" in done["right"][1].replace("_", " ")


def test_the_gate_blocks_on_an_installed_runtime_that_fails(runs, site):
    folder, _ = runs
    gate = ("-m", "parity", "gate", folder / "right")
    assert started(site, *gate, folder / "right").returncode == 3
    gated = started(site, *gate, folder / "wrong")
    assert gated.returncode == 1, gated.stdout + gated.stderr
    assert "toy_numpy" in gated.stdout


def test_a_runtime_that_cannot_be_imported_is_named(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[parity.runtimes]\nbroken = no_such_module:Broken\n")
    done = started(tmp_path, "-m", "parity", "run", "--case=ratings", f"--out={tmp_path / 'run'}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "broken" in done.stdout + done.stderr
    assert "no_such_module" in done.stdout + done.stderr
