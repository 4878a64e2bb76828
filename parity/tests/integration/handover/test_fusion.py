"""A Keras head on a trunk from JAX: it trains as JAX alone does, and every way to spoil it is seen."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from parity.cases.case import Dataset
from parity.cases.specs import Batch, Spec
from parity.cases.training import begin
from parity.core.errors import CaseError
from parity.export import conversion as export
from parity.handover import keras_head
from parity.handover.fused import trunk
from parity.handover.fusion import Fusion
from parity.records import ERROR, FAIL, MISSING, PASS
from parity.scoring import kinks
from parity.scoring.rules import LIMIT
from parity.tests.support import tiny

pytestmark = pytest.mark.slow


def hidden(params, data):
    return data @ params["hidden"]["kernel"] + params["hidden"]["bias"]


def features(params, other_state, rng, data, train):
    """A hidden layer with running means and dropout."""
    units = hidden(params, data)
    mean = units.mean(0) if train else other_state["mean"]
    units = jax.nn.relu(units - mean)
    if train:
        units = jnp.where(jax.random.bernoulli(rng, 0.8, units.shape), units / 0.8, 0.0)
        mean = 0.9 * other_state["mean"] + 0.1 * mean
    return units, {"mean": mean}


case = tiny.case(
    init=lambda rng: (tiny.init(rng)[0], {"mean": np.zeros(8, np.float32)}),
    trunk=features,
)
dataset = tiny.dataset()


def fusion_of(case, dataset=dataset):
    return Fusion(case, begin(case), dataset, LIMIT)


@pytest.fixture(scope="module")
def fusion():
    return fusion_of(case)


@pytest.fixture
def judged(fusion, tmp_path):
    """The results by leaf, of the trunk in the layer that `layer` makes."""

    def of(layer=keras_head.trunk_layer, keras="keras3"):
        return {j.leaf: j for j in fusion.results(tmp_path / "trunk", [keras], layer)}

    return of


def not_passed(found):
    return {leaf.partition("/")[2]: j for leaf, j in found.items() if j.status != PASS}


@pytest.mark.parametrize("keras", keras_head.KERASES)
def test_a_head_in_keras_trains_the_trunk_as_jax_alone_does(judged, keras):
    pytest.importorskip(keras_head.KERASES[keras])
    found = judged(keras=keras)
    assert not not_passed(found)
    moved = {"parameters/trunk/hidden/kernel", "parameters/head/bias", "batch_stats/mean", "key"}
    steps = {f"{keras}/step_{n}/{leaf}" for n in (1, 2, 3) for leaf in (*moved, "loss", "gradient/head/kernel")}
    assert steps | {f"{keras}/fit/{leaf}" for leaf in (*moved, "loss")} | {f"{keras}/predict/logits"} <= set(found)
    assert not [leaf for leaf in found if "output" in leaf]  # the last layer of the case is not the trunk's


def test_what_is_compared_moves(fusion):
    for leaf in ("parameters/trunk/hidden/kernel", "parameters/head/kernel", "batch_stats/mean", "key"):
        assert (fusion.jax[f"step_1/{leaf}"] != fusion.jax[f"step_2/{leaf}"]).any()
    assert fusion.jax["step_1/gradient/trunk/hidden/kernel"].any()


# Planted defects


def layer(call):
    """Makes a layer around the trunk whose answer is `call` of the layer, its inputs and `training`."""

    def made(keras, path):
        class Defect(keras.layers.TFSMLayer):
            def call(self, inputs, training=False):
                return call(super(), inputs, training)

        return Defect(str(path), call_endpoint="features", call_training_endpoint="features_train")

    return made


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_gradient_that_does_not_reach_the_trunk(judged):
    wrong = not_passed(judged(layer(lambda trunk, x, training: tf.stop_gradient(trunk.call(x, training=training)))))
    assert wrong["step_1/gradient/trunk/hidden/kernel"].status == MISSING
    assert {"step_1/parameters/trunk/hidden/kernel", "fit/parameters/trunk/hidden/kernel"} <= set(wrong)
    assert not {"step_1/loss", "step_1/gradient/head/kernel", "step_3/key", "step_1/batch_stats/mean"} & set(wrong)


def test_statistics_that_are_not_updated(judged, monkeypatch):
    monkeypatch.setattr(export.Exported, "_advance", lambda self, other, key: self.rng.assign(key))
    wrong = not_passed(judged())
    stale = {f"{where}/batch_stats/mean" for where in ("step_1", "step_2", "step_3", "predict", "fit")}
    assert set(wrong) == stale | {"predict/logits"}
    assert {j.status for j in wrong.values()} == {FAIL}


def test_a_key_that_is_not_split(judged, monkeypatch):
    monkeypatch.setattr(export.Exported, "_advance", lambda self, other, key: self.state_vars[-1].assign(other["mean"]))
    wrong = not_passed(judged())
    assert {"step_1/key", "step_2/loss", "fit/key"} <= set(wrong)
    assert [leaf for leaf in wrong if leaf.startswith("step_1")] == ["step_1/key"]


def test_a_weight_of_the_trunk_that_is_off(judged):
    def off(keras, path):
        made = keras_head.trunk_layer(keras, path)
        [kernel] = [w for w in made.weights if "kernel" in w.name]
        kernel.assign(np.asarray(kernel) * 1.001)
        return made

    wrong = not_passed(judged(off))
    assert {"step_1/loss", "step_1/parameters/trunk/hidden/kernel", "fit/parameters/trunk/hidden/kernel"} <= set(wrong)


def test_a_layer_that_never_trains(judged):
    wrong = not_passed(judged(layer(lambda trunk, x, training: trunk.call(x, training=False))))
    assert {"step_1/loss", "step_1/batch_stats/mean", "step_1/key", "fit/key"} <= set(wrong)


def test_a_layer_that_always_trains(judged):
    wrong = not_passed(judged(layer(lambda trunk, x, training: trunk.call(x, training=True))))
    assert {"predict/logits", "predict/key", "predict/batch_stats/mean"} == set(wrong)


def test_an_exception_in_keras_is_an_error_with_its_message(judged):
    def raising(keras, path):
        raise ValueError("planted")

    [found] = judged(raising).values()
    assert (found.leaf, found.status, found.message) == ("keras3/*", ERROR, "ValueError: planted")


def test_a_missing_or_other_keras_is_left_out_with_a_reason(monkeypatch):
    assert "keras3" not in keras_head.left_out()
    monkeypatch.setitem(keras_head.KERASES, "keras2", "keras_of_no_release")
    line = ".".join(tf.__version__.split(".")[:2])
    wanted = f"'keras_of_no_release=={line}.*'"
    output = keras_head.left_out()["keras2"]
    assert output == f"fusion: keras2 left out, keras_of_no_release is not installed: pip install --no-deps {wanted}"
    monkeypatch.setitem(keras_head.KERASES, "keras2", "pytest")
    assert f"keras2 left out, pytest {pytest.__version__}: " in keras_head.left_out()["keras2"]
    assert keras_head.usable() == ["keras3"]


# Kinks


def test_an_answer_from_the_other_side_of_a_kink_is_right():
    """The argument of one ReLU is some ulp from zero: further than the ensemble goes, and nearer than it matters."""
    data = dataset.train.data.copy()
    data[0] = [1.0, 1.0 - 6 * 2.0**-24, 0.0, 0.0]
    kernel = np.asarray(tiny.init(jax.random.PRNGKey(0))[0]["hidden"]["kernel"]).copy()
    kernel[:, 0] = [1.0, -1.0, 0.5, 0.5]
    kinked = tiny.case(
        init=lambda rng: ({"kernel": kernel}, {}),
        trunk=lambda params, other, rng, x, train: (jax.nn.relu(x @ params["kernel"]), other),
    )
    fusion = fusion_of(kinked, Dataset(Batch(data, dataset.train.labels), dataset.test))
    far = {leaf: a.astype(fusion.jax[leaf].dtype) for leaf, a in fusion._beyond_kinks[0].items()}
    found = fusion.judge(far)
    assert {j.status for j in found} == {PASS}
    assert kinks.NOTE in {j.message for j in found if "gradient/trunk" in j.leaf}
    wrong = fusion.judge(
        {**far, "step_1/gradient/trunk/kernel": far["step_1/gradient/trunk/kernel"] * np.float32(1.001)}
    )
    assert FAIL in {j.status for j in wrong}


# Bad input


def test_a_case_without_a_trunk():
    with pytest.raises(CaseError, match=r"'tiny' has no trunk to fuse with. Give trunk="):
        fusion_of(tiny.tiny)


def test_fewer_examples_than_steps():
    with pytest.raises(CaseError, match="has 2 training examples, expected at least 3"):
        fusion_of(case, Dataset(dataset.train.take(2), dataset.test))


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (lambda p, o, r, x, t: (x[:, None] @ p["hidden"]["kernel"], o), r"expected one float array \[1, d\]"),
        (lambda p, o, r, x, t: (hidden(p, x) > 0, o), "expected one float array"),
        (lambda p, o, r, x, t: ({"a": hidden(p, x)}, o), "expected one float array"),
        (lambda p, o, r, x, t: hidden(p, x), r"must return \(features, new_other_state\)"),
        (lambda p, o, r, x, t: (hidden(p, x), {}), "turns other_state .* into"),
        (lambda p, o, r, x, t: (hidden(p, x)[:, : 3 if t else 4], o), "in training and .* otherwise"),
        (lambda p, o, r, x, t: (x, o), "reads no parameter"),
        (lambda p, o, r, x, t: (p["missing"], o), "trunk raised KeyError"),
    ],
)
def test_features_that_no_head_can_stand_on(of, message):
    with pytest.raises(CaseError, match=message):
        trunk(replace(case, trunk=of), begin(case), dataset)


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        (Spec("b", dtype="int32"), lambda rows: rows.argmax(1).astype(np.int32)),
        (Spec("b", 3), lambda rows: rows * 0.9),
        (Spec("b", 3), lambda rows: rows * 0),
        ({"a": Spec("b", 3)}, lambda rows: {"a": rows}),
    ],
)
def test_labels_that_are_not_one_hot(spec, labels):
    parts = [Batch(part.data, labels(part.labels)) for part in (dataset.train, dataset.test)]
    with pytest.raises(CaseError, match=r"the labels are .* a head is trained on one-hot ones, \[b, classes\]"):
        trunk(replace(case, labels=spec), begin(case), Dataset(*parts))
