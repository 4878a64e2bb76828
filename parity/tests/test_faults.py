"""Planted faults in the exported artifact turn exactly the right probes red."""

import numpy as np
import pytest

from parity.case import PROBES
from parity.records import PASS, Planned
from parity.runtimes import saved_model

SIZE = 13


def questions(runtime):
    return [Planned(f"test_{p}", "reference", p, runtime, SIZE, "cpu:0", "cpu:0") for p in PROBES]


def red(harness, fault):
    """The probes, and their leaves, that fail on the reloaded artifact with `fault` planted in its variables."""

    class Faulty(saved_model.Runtime):
        def module(self):
            module = super().module()
            variables = dict(zip((s.leaf for s in self.subject.signature.state), module.state_vars, strict=True))
            fault({**variables, "rng": module.rng})
            return module

    honest = harness.runtime("saved_model")
    harness.use("saved_model", Faulty(honest.subject))
    try:
        found = {q.probe: harness.judgements(q) for q in questions("saved_model")}
    finally:
        harness.use("saved_model", honest)
    leaves = {probe: {j.leaf for j in judgements if j.status != PASS} for probe, judgements in found.items()}
    return {probe: failed for probe, failed in leaves.items() if failed}


def one_weight(variables, index=(100, 5)):
    kernel = variables["Dense_1/kernel"]
    value = kernel.numpy()
    value[index] += 1e-3
    kernel.assign(value)


def stale_statistics(variables):
    for name, variable in variables.items():
        if name.startswith("batch_stats/"):
            variable.assign(np.full(variable.shape, 1.0 if name.endswith("var") else 0.0, np.float32))


def wrong_key(variables):
    variables["rng"].assign(variables["rng"] + 1)


def bfloat16_kernel(variables):
    import tensorflow as tf

    kernel = variables["Dense_0/kernel"]
    kernel.assign(tf.cast(tf.cast(kernel, tf.bfloat16), tf.float32))


def not_a_number(variables):
    kernel = variables["Dense_1/kernel"]
    value = kernel.numpy()
    value[0, 0] = np.nan
    kernel.assign(value)


LOSSES_AND_GRADIENTS = {"eval_loss", "train_loss", "eval_gradient", "train_gradient"}


def test_the_honest_artifact_is_green(reference):
    assert red(reference, lambda variables: None) == {}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (one_weight, {"predict", *LOSSES_AND_GRADIENTS}),
        (stale_statistics, {"predict", "accuracy", "eval_loss", "eval_gradient", "batch_stats"}),
        (wrong_key, {"rng", "train_loss", "train_gradient"}),
        (bfloat16_kernel, {"predict", "batch_stats", *LOSSES_AND_GRADIENTS}),
        (not_a_number, {"predict", "accuracy", *LOSSES_AND_GRADIENTS}),
    ],
)
def test_exactly_the_right_probes_turn_red(reference, fault, expected):
    assert set(red(reference, fault)) == expected


def test_a_wrong_weight_is_seen_in_the_gradients_that_depend_on_it(reference):
    leaves = red(reference, one_weight)["eval_gradient"]
    assert {"Dense_1/bias", "Dense_0/kernel", "Conv_0/kernel"} <= leaves


@pytest.mark.parametrize("index", [(0, 0), (50, 3), (199, 9)])
def test_a_wrong_weight_is_seen_wherever_it_sits(reference, index):
    found = red(reference, lambda variables: one_weight(variables, index))
    assert {"predict", "train_gradient"} <= set(found)


def test_a_wrong_key_leaves_what_does_not_draw_alone(reference):
    found = red(reference, wrong_key)
    assert found["rng"] == {"call_1/key", "call_2/key"}
    assert found["train_loss"] == {"call_1/loss", "call_2/loss"}
