"""What the chapters for contributors show, run as they show it."""

import os

import pytest

from parity import records
from parity.records import FAIL, PASS
from parity.tests.support import samples
from parity.tests.support.documents import CHAPTERS, Document

pytestmark = pytest.mark.slow

CASE = """
import dataclasses
from parity.tests.support import tiny

case = dataclasses.replace(tiny.tiny, name="mine", probes=("predict",), accuracy=None)
"""
DEFECT = "seeded_defect/off_by_one_percent"


def block(word):
    """The only Python block of the chapter with `word` in it."""
    [found] = [each.text for each in Document(CHAPTERS["contributing"]).blocks("python") if word in each.text]
    return found


@pytest.fixture
def project(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(CASE)
    return tmp_path


CHOSEN = ("run", "--case=mine.py:case", "--batch-size=13", "--out=out")


def run(folder, *arguments):
    return samples.inside(*CHOSEN, *arguments, cwd=folder)


@pytest.mark.parametrize(
    ("derive", "status"),
    [
        ("np.exp(array).max(axis=-1)", PASS),
        pytest.param("np.sign(array).max(axis=-1)", FAIL, marks=pytest.mark.exhaustive),
    ],
)
def test_a_probe_of_ones_own_shows_that_it_can_fail(project, derive, status):
    text = block("PROBE = Probe(")
    assert "np.exp(array).max(axis=-1)" in text
    shown = text.replace("np.exp(array).max(axis=-1)", derive) + block("import seeded_defect")
    (project / "test_confidence.py").write_text(shown)
    done = run(project, "--runtime=jax", "--runtime=tf_graph", "test_confidence.py", "--probe=confidence")
    assert done.returncode == (status == FAIL), done.stdout + done.stderr
    assert ("FAILED test_confidence.py::test_confidence[mine-tf_graph-b13]" in done.stdout) is (status == FAIL)
    checks = {(check.runtime, check.leaf): check.status for check in records.read(project / "out").checks}
    assert checks.pop(("tf_graph", DEFECT)) == status
    assert checks == {("jax", "output"): PASS, ("jax", DEFECT): PASS, ("tf_graph", "output"): PASS}


@pytest.mark.exhaustive
def test_the_runtime_of_tensorflow_counts_for_the_verdict(project):
    (project / "serving.py").write_text(block("class Serving"))
    info = project / "serving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: serving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[parity.runtimes]\nserving = serving:Serving\n")
    path = os.pathsep.join(filter(None, (str(project), os.environ.get("PYTHONPATH"))))
    options = ("--runtime=serving", "--probe=predict")
    done = samples.parity(*CHOSEN, *options, cwd=project, env={**os.environ, "PYTHONPATH": path}, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = records.read(project / "out")
    assert {(check.runtime, check.tf_device, check.status) for check in found.checks} == {("serving", "cpu:0", PASS)}
    assert found.in_order()


def test_the_plan_is_shown_without_a_training_or_a_record(project):
    done = run(project, "--runtime=tf_graph", "--probe=predict", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_predict[mine-tf_graph-b13]" in done.stdout
    assert not list(project.glob("out/*"))
