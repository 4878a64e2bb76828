"""What an engineer does without parity: train, export, reload, and ask JAX and TensorFlow three things once each.

`python -m parity.studies.cost.bare FILE:NAME` does so with a case, and imports of parity what loads the case alone.
It prints the number of parameters.
"""

from __future__ import annotations

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import jax
import numpy as np
import optax
import tensorflow as tf
from jax.experimental import jax2tf

from parity.cases.case import Case
from parity.cases.loading import load
from parity.studies.cost import BATCH_SIZE

AGREE = 1e-3
"""More than float32 leaves between the two predictions of a sound pair: the script did what it is measured for."""


def work(case: Case) -> int:
    """Train, export, reload, ask; return the number of parameters.

    Raises:
        RuntimeError: JAX and TensorFlow predict differently.
    """
    training, dataset = case.training, case.dataset()
    params, other = case.init(jax.random.PRNGKey(training.seed))
    optimizer = optax.adam(training.learning_rate)
    moments = optimizer.init(params)

    @jax.jit
    def step(params, moments, key, data, labels):  # type: ignore[no-untyped-def]
        gradient, _ = jax.grad(case.loss, has_aux=True)(params, other, key, data, labels, True)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(params, updates), moments

    size = training.batch_size
    for number in range(training.epochs * (len(dataset.train.labels) // size)):
        first = number * size % (len(dataset.train.labels) // size * size)
        data, labels = dataset.train.data[first : first + size], dataset.train.labels[first : first + size]
        params, moments = step(params, moments, jax.random.PRNGKey(number), data, labels)
    key, data, labels = jax.random.PRNGKey(0), dataset.test.data[:BATCH_SIZE], dataset.test.labels[:BATCH_SIZE]

    def evaluate(params, data, labels):  # type: ignore[no-untyped-def]
        return case.loss(params, other, key, data, labels, False)[0]

    of_jax = jax.jit(case.predict)((params, other), data)
    jax.block_until_ready(jax.jit(jax.value_and_grad(evaluate))(params, data, labels))

    module = tf.Module()
    module.params = tf.nest.map_structure(tf.Variable, params)
    module.leaves = tf.nest.flatten(module.params)
    predict = jax2tf.convert(lambda p, x: case.predict((p, other), x), polymorphic_shapes=["...", "(b, ...)"])
    loss = jax2tf.convert(evaluate, polymorphic_shapes=["...", "(b, ...)", "(b,)"], with_gradient=True)
    inputs = tf.TensorSpec((None, *data.shape[1:]), data.dtype), tf.TensorSpec((None,), labels.dtype)
    module.predict = tf.function(lambda x: predict(module.params, x), autograph=False, input_signature=inputs[:1])
    module.loss = tf.function(lambda x, y: loss(module.params, x, y), autograph=False, input_signature=inputs)
    with tempfile.TemporaryDirectory(prefix="parity-bare-") as folder:
        tf.saved_model.save(module, folder, options=tf.saved_model.SaveOptions(experimental_custom_gradients=True))
        loaded = tf.saved_model.load(folder)
    of_tensorflow = loaded.predict(data)
    with tf.GradientTape() as tape:
        found = loaded.loss(data, labels)
    tape.gradient(found, loaded.leaves)
    if not np.allclose(of_jax, of_tensorflow, rtol=0, atol=AGREE):
        raise RuntimeError(f"the predictions differ by over {AGREE}")
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))


if __name__ == "__main__":
    print(work(load(sys.argv[1])))
