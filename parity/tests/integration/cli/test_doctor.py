"""What `parity doctor` says of a case is what a run finds, with the cause in the same words."""

import functools
import json
import os
import shutil
from dataclasses import asdict

import pytest

from parity import records
from parity.cases import loading
from parity.cli import doctor, trial
from parity.compat import causes, reader, writer
from parity.core import environment
from parity.tests.support import doctor_cases, samples
from parity.tests.support.families import further

FOUND = environment.versions()
PAIR = (FOUND["jax"], FOUND["tensorflow"])
OF_PAIR = pytest.mark.skipif(PAIR != ("0.10.2", "2.21.0"), reason="planted for another pair")
VERDICTS = {
    "works": trial.WORKS,
    "skewed": trial.WITH_REMEDY,
    "topk": trial.AT_FIXED_SIZES,
    "cholesky": trial.FAILS,
    "solve": trial.FAILS,
    "table": trial.FAILS,
    "sized": trial.AT_FIXED_SIZES,
}
BROKEN = {
    "broken_init": ("no file with weights", "in no_init"),
    "broken_predict": ("layer_2", "in no_predict"),
    "broken_loss": ("(loss, new_other_state)",),
    "broken_gradient": ("VJP not implemented", "in without_gradient"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frameworks):
    folder = tmp_path_factory.mktemp("doctor")
    shutil.copy(doctor_cases.__file__, folder / "planted.py")
    return folder


def run(folder, name):
    """A run of predictions: a case that fails, fails there as well."""
    asked = ("--level", "quick", "--runtime", "saved_model", "--probe", "predict", "--probe", "artifact")
    return samples.inside("run", *asked, "--case", f"planted.py:{name}", "--out", name, cwd=folder)


@functools.cache
def attempt(folder, name):
    return trial.attempt(loading.load(f"{folder}/planted.py:{name}"))


def of_tensorflow(run):
    """The verdict on what a run asks TensorFlow, but for numbers; and the messages of what is not in order."""
    found = [check for check in run.checks if check.tf_device != records.NO_DEVICE and check.score is None]
    bad = [check.message for check in found if check.status not in records.IN_ORDER]
    return trial.FAILS if bad else trial.WITH_REMEDY if run.remedies else trial.WORKS, bad


@OF_PAIR
@pytest.mark.slow
@pytest.mark.parametrize("name", further(VERDICTS, {"works", "sized"}))
def test_the_doctor_says_what_a_run_finds(folder, name):
    found = attempt(folder, name)
    assert found.verdict == VERDICTS[name]
    run(folder, name)
    verdict, messages = of_tensorflow(records.read(folder / name))
    assert verdict == (trial.FAILS if found.verdict == trial.AT_FIXED_SIZES else found.verdict)
    assert bool(messages) == bool(found.causes)
    for cause in found.causes:
        assert any(message.endswith(cause.rstrip(".")) for message in messages), (cause, messages)
        assert "\n" not in cause


@OF_PAIR
def test_a_remedy_is_needed_at_fixed_sizes_as_well(folder):
    found = attempt(folder, "topk")
    assert found.requirement == "tensorflow==2.21.0"
    assert found.failure == "stablehlo_skew"
    [cause] = found.causes
    assert "top_k" in cause
    assert causes.FIXED_SIZES in cause


@OF_PAIR
def test_where_fixed_sizes_fail_otherwise_both_causes_are_said(folder, monkeypatch):
    """The case is tried in this process: `test_remedied_runs` has a doctor whose trial is in its own."""
    tried = (writer.describe(), reader.describe().filled(FOUND["tensorflow"]), attempt(folder, "cholesky"))
    answers = [json.loads(json.dumps(asdict(answer))) for answer in tried]
    monkeypatch.setattr(doctor, "_answers", lambda module, *arguments: (answers, ""))
    done = samples.inside("doctor", "--case", "planted.py:cholesky", cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "InconclusiveDimensionOperation: comparison b < 8" in " ".join(done.stdout.split())
    assert "lapack_spotrf_ffi" in done.stdout
    assert "tensor<" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_case_is_refused_with_cause_and_place_and_a_run_says_the_same(folder, name):
    with pytest.raises(trial.UsageError) as caught:
        attempt(folder, name)
    for part in BROKEN[name]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    done = run(folder, name)
    assert done.returncode == 2, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.strip()]
    assert line.endswith(str(caught.value))


def test_what_jax_itself_cannot_compile_is_the_case_s_and_not_the_pair_s(folder):
    with pytest.raises(trial.UsageError) as caught:
        attempt(folder, "unlowered")
    for part in ("predict in JAX", "number of output elements"):
        assert part in str(caught.value)
    assert "TensorFlow" not in str(caught.value)


@pytest.mark.parametrize("breaks", ["import os; os.abort()", "raise ImportError('libplanted.so')"])
def test_a_tensorflow_that_cannot_be_imported_is_named_beside_what_jax_writes(folder, tmp_path, breaks):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(breaks)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = samples.parity("doctor", "--case", "planted.py:works", cwd=folder, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 3, done.stdout + done.stderr
    assert "TensorFlow gave no answer" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("planted.py:broken_predict", "planted.py:"),
        ("planted.py:absent", "'absent' is not in it"),
        ("absent.py:case", "absent.py"),
    ],
)
def test_a_broken_case_is_a_usage_error_with_its_cause(folder, case, cause):
    done = samples.inside("doctor", "--case", case, cwd=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert cause in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
