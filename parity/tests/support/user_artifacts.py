"""SavedModels as users make them of the case `tiny`, and a case whose artifact takes bytes and answers with texts."""

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

from parity import Artifact, Batch, Dataset, Spec, Training
from parity.tests.support import tiny

LABELS = ("cat", "dog", "owl")
DRAWN = np.random.default_rng(1)
WEIGHTS = {
    "hidden": {
        "kernel": DRAWN.normal(size=(4, 8)).astype(np.float32),
        "bias": np.linspace(-0.2, 0.2, 8, dtype=np.float32),
    },
    "output": DRAWN.normal(size=(8, 3)).astype(np.float32),
}


def init(key):
    return jax.tree_util.tree_map(jnp.asarray, WEIGHTS), {}


def case(**changes):
    """`tiny` with weights of its own: the state of artifacts that are made here."""
    known = {"init": init, "training": Training(epochs=0), "probes": ("predict", "eval_loss", "eval_gradient")}
    return tiny.case(**{**known, **changes})


class Module(tf.Module):
    """The weights as variables, or as constants, and `serve`, traced once: faults are planted in the variables."""

    def __init__(self, constant=False):
        super().__init__()
        self.scale = tf.Variable(1.0)
        self.vocabulary = tf.Variable(["cat", "dog"])  # texts are no weights
        self.weights = WEIGHTS if constant else jax.tree_util.tree_map(tf.Variable, WEIGHTS)
        predict = jax2tf.convert(
            lambda p, x: tiny.predict((p, {}), x), polymorphic_shapes=["...", "(b, 4)"], with_gradient=False
        )
        self.serve = tf.function(
            lambda x: {"scores": predict(self.weights, x) * self.scale},
            input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")],
            autograph=False,
        )

    def save(self, path, signature="serving_default"):
        tf.saved_model.save(self, str(path), signatures={signature: self.serve} if signature else {})
        return path


def png(data):
    """Return the artifact's inputs: 4 pixels of each example as an encoded image."""
    return {"png": np.array([tf.io.encode_png(row.reshape(2, 2, 1)).numpy() for row in data], object)}


def numbers(found):
    """Return the case's outputs: the numbers of labels that are texts."""
    named = [[LABELS.index(text.decode()) for text in row] for row in found["labels"]]
    return {**found, "labels": np.array(named, np.int32)}


def two_best(state, image):
    scores, labels = jax.lax.top_k(tiny.predict(state, image.astype(jnp.float32) / 64.0 - 2.0), 2)
    return {"scores": scores, "labels": labels}


def images():
    data = np.random.default_rng(0).integers(0, 256, (40, 4)).astype(np.uint8)
    labels = np.eye(3, dtype=np.float32)[data[:, 0] % 3]
    return Dataset(Batch(data[:20], labels[:20]), Batch(data[20:], labels[20:]))


texts = case(
    name="texts", predict=two_best, loss=None, probes=("predict",), data=Spec("b", 4, dtype="uint8"), dataset=images,
    artifact=Artifact("texts", inputs=png, outputs=numbers), accuracy=None,
)  # fmt: skip


def save_texts(path):
    """Save what decodes and scales an image, and gives the two best labels as texts."""
    predict = jax2tf.convert(
        lambda x: tiny.predict((WEIGHTS, {}), x), polymorphic_shapes=["(b, 4)"], with_gradient=False
    )
    module = tf.Module()
    module.labels = tf.constant(LABELS)

    def serve(png):
        one = tf.TensorSpec([2, 2, 1], tf.uint8)
        image = tf.map_fn(lambda text: tf.io.decode_png(text, 1), png, fn_output_signature=one)
        scores, found = tf.math.top_k(predict(tf.cast(tf.reshape(image, [-1, 4]), tf.float32) / 64.0 - 2.0), 2)
        return {"scores": scores, "labels": tf.gather(module.labels, found)}

    signature = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, name="png")], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
