"""A pair that is broken as exported by default, end to end: the suite, a bundle, and the doctor."""

import pytest

from parity import records
from parity.cli import main as cli
from parity.core import environment
from parity.tests.support import samples

FOUND = environment.versions()
PLANTED_FOR = ("0.10.2", "2.21.0")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((FOUND["jax"], FOUND["tensorflow"]) != PLANTED_FOR, reason="planted for another pair"),
]

# erf of a weight: a composite since jax 0.9, which TensorFlow 2.21 does not know, and which can be written without.
SKEWED = """
import dataclasses, jax
from parity.tests.support import tiny

def predict(state, data):
    params, other = state
    return tiny.predict(({**params, "output": jax.scipy.special.erf(params["output"])}, other), data)

def loss(params, other, rng, data, labels, train):
    return -(predict((params, other), data) * labels).sum(-1).mean(), other

probes = ("predict",)
case = dataclasses.replace(tiny.tiny, name="skewed", predict=predict, loss=loss, accuracy=None, probes=probes)
"""
REMEDY = 'parity.readable_by("tensorflow==2.21.0")'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skewed")
    (folder / "skewed.py").write_text(SKEWED)
    return folder


@pytest.fixture(scope="module")
def done(folder, frameworks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        items = ("--case", "skewed.py:case", "--batch-size", 13, "--probe", "predict")
        return samples.inside("run", *items, "--out", "out", cwd=folder)


def test_every_check_of_tensorflow_is_remedied_and_none_of_jax(folder, done):
    assert done.returncode == 0, done.stdout + done.stderr
    run = records.read(folder / "out")
    assert run.in_order()
    by_side = {(c.tf_device == records.NO_DEVICE, c.status) for c in run.checks}
    assert by_side == {(True, records.PASS), (False, records.REMEDIED)}
    assert {c.runtime for c in run.checks if c.status == records.REMEDIED} == {
        "tf_eager", "tf_graph", "tf_xla", "saved_model", "saved_model_fresh",
    }  # fmt: skip
    [remedy] = run.remedies
    assert (remedy.case, remedy.requirement) == ("skewed", "tensorflow==2.21.0")
    assert (remedy.failure, remedy.evidence) == ("stablehlo_skew", "vhlo.composite_v2 in StableHLO 1.15.0")


def test_what_tensorflow_cannot_read_is_recorded_as_jax_writes_it(folder, done):
    programs = {program.function: program.operations for program in records.read(folder / "out").programs}
    assert list(programs) == ["predict", "loss", "gradient"]
    assert programs["predict"]["vhlo.composite_v2"] == 1


def test_the_remedy_is_said_in_the_verdict_and_on_the_page(folder, done):
    assert "are in parity with a remedy" in done.stdout
    assert REMEDY in done.stdout
    page = (folder / "out" / "index.html").read_text()
    assert REMEDY.replace('"', "&#34;") in page


def test_the_doctor_foretells_it(folder, done):
    reported = samples.inside("doctor", "--case", "skewed.py:case", cwd=folder)
    assert reported.returncode == 1
    assert "vhlo.composite_v2" in reported.stdout
    assert "Traceback" not in reported.stdout
    assert REMEDY in reported.stdout
    assert records.read(folder / "out").environment["prediction"]["status"] == records.REMEDIED


def test_a_bundle_has_both_exports_and_the_one_that_works_is_asked(folder, frameworks):
    """In this process: `test_run` has an export and a verification in their own."""
    bundle = folder / "bundle"
    options = ["--case", f"{folder}/skewed.py:case", "--batch-size", "13", "--readable-by", "tensorflow==2.17.1"]
    assert cli.main(["export", str(bundle), *options]) == 0
    assert cli.main(["verify", str(bundle), "--out", str(folder / "verified")]) == 0
    run = records.read(folder / "verified")
    assert {c.status for c in run.checks} == {records.REMEDIED}
    assert [r.requirement for r in run.remedies] == ["tensorflow==2.17.1"]
    assert run.environment["prediction"]["status"] == records.REMEDIED
    assert cli.main(["verify", str(bundle), "--remedied", "--out", str(folder / "alone")]) == 0
    assert {c.status for c in records.read(folder / "alone").checks} == {records.PASS}


def test_an_unknown_reader_is_refused_before_any_work(folder):
    items = ("--case", "skewed.py:case", "--readable-by", "tensorflow==1.15.0")
    refused = samples.inside("export", "never", *items, cwd=folder)
    assert refused.returncode == 2
    assert "tensorflow==1.15.0" in refused.stdout
    assert not (folder / "never").exists()
