"""Bundles whose case leaves a probe out that another one needs, and answers that have no budget."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from parity import records
from parity.core import storage
from parity.export import bundles
from parity.report.panels import verdict
from parity.tests.support import samples

pytestmark = pytest.mark.slow

CASES = """
from parity.tests.support import tiny

sparse = tiny.case(name="sparse", probes=("accuracy", "eval_loss"))
classes = tiny.case(name="classes", predict=lambda state, data: tiny.predict(state, data).argmax(-1),
                    probes=("predict",), accuracy=None)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frameworks):
    """A folder with a bundle of each case."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "mine.py").write_text(CASES)
    for name in ("sparse", "classes"):
        done = samples.inside("export", name, "--case", f"mine.py:{name}", "--batch-size", 13, cwd=folder)
        assert done.returncode == 0, done.stdout
    return folder


def verified(folder, name):
    done = samples.inside("verify", name, "--out", f"{name}-out", cwd=folder)
    return done, {check.probe: check for check in records.read(folder / f"{name}-out").checks}


def test_accuracy_is_verified_without_the_probe_predict(folder):
    done, checks = verified(folder, "sparse")
    assert done.returncode == 0, done.stdout
    assert {probe: check.status for probe, check in checks.items()} == dict.fromkeys(
        ("accuracy", "eval_loss"), records.PASS
    )
    with bundles.opening(folder / "sparse") as bundle:
        assert bundle.budget("predict", 13)


def test_a_panel_that_fails_leaves_the_exit_code_of_the_verdict(folder, monkeypatch):
    monkeypatch.setattr(verdict, "view", lambda cell: 1 / 0)
    done, checks = verified(folder, "classes")
    assert done.returncode == 0, done.stdout
    assert checks["predict"].status == records.PASS
    assert done.stdout.count("The panel verdict failed: ZeroDivisionError") == 1


def altered(folder, name, file, change):
    """A copy of the bundle `sparse` in which `change` has altered a file, or removed it; the manifest agrees."""
    copy = shutil.copytree(folder / "sparse", folder / name)
    manifest = json.loads((copy / bundles.MANIFEST).read_text())
    change(copy / file)
    manifest["files"].pop(file)
    if (copy / file).exists():
        manifest["files"][file] = {"sha256": storage.sha256(copy / file), "bytes": (copy / file).stat().st_size}
    (copy / bundles.MANIFEST).write_text(json.dumps(manifest))
    return verified(folder, name)


def test_a_bundle_from_before_says_that_its_accuracy_cannot_be_verified_and_verifies_the_rest(folder):
    done, checks = altered(folder, "older", "oracle/predict-b13.npz", Path.unlink)
    assert done.returncode == 1, done.stdout
    assert (checks["accuracy"].status, checks["eval_loss"].status) == (records.ERROR, records.PASS)
    assert "oracle" in checks["accuracy"].message


def test_an_answer_of_jax_that_is_off_in_the_bundle_fails(folder):
    """Nothing else judges it here: the artifact may be right, and what it is to agree with wrong."""

    def raise_by_a_tenth(path):
        with np.load(path) as stored:
            arrays = {leaf: (array * np.float32(1.1)).astype(array.dtype) for leaf, array in stored.items()}
        np.savez(path, **arrays)

    done, checks = altered(folder, "moved", "answers/eval_loss-b13.npz", raise_by_a_tenth)
    assert done.returncode == 1, done.stdout
    assert checks["eval_loss"].status == records.FAIL
    assert checks["eval_loss"].score <= checks["eval_loss"].limit < checks["eval_loss"].jax_score


def test_predictions_of_integers_alone_are_verified_exactly(folder):
    done, checks = verified(folder, "classes")
    assert done.returncode == 0, done.stdout
    assert (checks["predict"].status, checks["predict"].score) == (records.PASS, 0.0)
