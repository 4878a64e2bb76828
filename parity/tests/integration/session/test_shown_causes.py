"""One cause is shown once in the terminal, in one line; what the frameworks wrote is in the log."""

import shutil

import pytest

from parity import records
from parity.core import environment
from parity.core.failures import SYMBOLIC_SHAPE
from parity.tests.support import doctor_cases, samples

FOUND = environment.versions()
OF_PAIR = pytest.mark.skipif((FOUND["jax"], FOUND["tensorflow"]) != ("0.10.2", "2.21.0"), reason="for another pair")
CAUSE = "comparison b < 8 is inconclusive"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frameworks):
    folder = tmp_path_factory.mktemp("causes")
    shutil.copy(doctor_cases.__file__, folder / "planted.py")
    return folder


@pytest.fixture(scope="module")
def output(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        cases = ("--case", "planted.py:cholesky", "--case", "planted.py:skewed")
        done = samples.inside("run", "--level", "quick", *cases, "--out", "out", cwd=folder)
    assert done.returncode == 1, done.stdout
    return done.stdout


def failed(folder):
    return [check for check in records.read(folder / "out").checks if check.status not in records.IN_ORDER]


@OF_PAIR
def test_a_cause_is_one_block_with_its_items(folder, output):
    bad = failed(folder)
    assert {(check.failure, check.evidence) for check in bad} == {(SYMBOLIC_SHAPE, CAUSE)}
    assert output.count(CAUSE) == 1
    [line] = [line for line in output.splitlines() if CAUSE in line]
    assert line.startswith(f"{len({check.item for check in bad})} checks: ")
    assert "b >= 8" in line  # what a constraint would do


@OF_PAIR
def test_of_two_cases_the_remedy_of_one_is_said_beside_the_failure_of_the_other(output):
    [line] = [line for line in output.splitlines() if line.startswith("skewed needs a remedy")]
    assert 'parity.readable_by("tensorflow==2.21.0")' in line


@OF_PAIR
def test_messages_are_one_line_and_the_log_has_the_rest(folder, output):
    assert not [check.message for check in failed(folder) if "\n" in check.message]
    log = (folder / "out" / "log.txt").read_text()
    assert "Traceback" not in output
    place = log.index("test_artifact[cholesky]")
    assert "Error when tracing gradients for SavedModel" in log[place:]
    assert 'shape_poly.py", line' in log[place:]


LEAN = """
import dataclasses
from parity.tests.support import doctor_cases

case = dataclasses.replace(doctor_cases.topk, probes=("predict",))
"""
KNOWN = """\
[[issue]]
id = "no-top-k"
class = "shape_refinement"
evidence = "dynamic"
operation = "top_k"
text = "No batch size."
upstream = "none: it is planted"
remedy = "none"
case = "topk"
probe = "predict"
"""


@OF_PAIR
def test_errors_that_a_project_lists_are_in_order(folder):
    (folder / "known.toml").write_text(KNOWN)
    (folder / "lean.py").write_text(LEAN)
    options = (
        "--level=quick",
        "--case=lean.py:case",
        "--runtime=saved_model",
        "--probe=predict",
        "--probe=state",
    )
    done = samples.inside("run", *options, "--known-issues=known.toml", "--out=known", cwd=folder)
    [check] = [check for check in records.read(folder / "known").checks if check.probe == "predict"]
    assert (check.status, check.known_issue) == (records.KNOWN, "no-top-k")
    assert done.returncode == 0, done.stdout
    unlisted = samples.inside("run", *options, "--out=unlisted", cwd=folder)
    assert unlisted.returncode == 1, unlisted.stdout
