"""`parity export` says how large a bundle will be before it is written."""

import re

import pytest

from parity.tests.support import samples

WIDE = """
import jax, jax.numpy as jnp, numpy as np
from parity import Batch, Case, Dataset, Spec, Training

def init(key):
    return {"w": jax.random.normal(key, (512, 512)) / 512}, {}

def predict(state, data):
    return data @ state[0]["w"]

def loss(params, other, key, data, labels, train):
    return jnp.mean((predict((params, other), data) - labels) ** 2), other

def dataset():
    x = np.random.default_rng(0).normal(size=(128, 512)).astype(np.float32)
    return Dataset(train=Batch(x[:64], x[:64]), test=Batch(x[64:], x[64:]))

probes = ("predict", "eval_loss", "eval_gradient", "train_loss", "train_gradient")
training = Training(epochs=1, epochs_after=1, batch_size=32)
case = Case("wide", init, loss, predict, data=Spec("b", 512), labels=Spec("b", 512), dataset=dataset, probes=probes,
            training=training)
"""


@pytest.mark.parametrize("options", [(), ("--training",)], ids=["plain", "training"])
def test_the_size_that_is_said_is_that_of_the_bundle_but_for_programs_and_inputs(options, tmp_path, frameworks):
    (tmp_path / "wide.py").write_text(WIDE)
    chosen = ("--case", "wide.py:case", "--batch-size", 1, "--batch-size", 13, *options)
    done = samples.inside("export", "bundle", *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    [said] = re.findall(r"([\d.]+) MB or more", done.stdout)
    found = sum(path.stat().st_size for path in (tmp_path / "bundle").rglob("*") if path.is_file()) / 1e6
    assert 0.95 * float(said) < found < 1.3 * float(said)
