"""A small case whose training has all that a hand-over may lose: statistics, a count, dropout, a rate that changes.

The bias stands in front of a normalisation, so that its gradient is nothing but rounding; and one feature comes in
small units, so that beside its gradients an epsilon is not small.
"""

import jax
import jax.numpy as jnp
import numpy as np

from parity.cases.case import Dataset, Training
from parity.cases.specs import Batch
from parity.tests.support import tiny

KEPT, UNITS = 0.9, 1e-6
TRAINING = Training(epochs=2, epochs_after=3, batch_size=16)


def init(rng, units=8):
    first, second = jax.random.split(rng)
    params = {
        "hidden": {"kernel": jax.random.normal(first, (4, units)), "bias": jnp.full(units, 0.1)},
        "norm": {"scale": jnp.ones(units), "bias": jnp.zeros(units)},
        "output": jax.random.normal(second, (units, 3)),
    }
    return params, {"mean": jnp.zeros(units), "var": jnp.ones(units), "seen": jnp.int32(0)}


def logits(params, mean, var, data):
    hidden = data @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    normal = (hidden - (hidden.mean(0) if mean is None else mean)) / jnp.sqrt(
        (hidden.var(0) if var is None else var) + 1e-3
    )
    return jnp.tanh(normal * params["norm"]["scale"] + params["norm"]["bias"]), hidden


def predict(state, data):
    params, other = state
    return jax.nn.log_softmax(logits(params, other["mean"], other["var"], data)[0] @ params["output"])


def loss(params, other, rng, data, labels, train):
    if not train:
        return cross_entropy(predict((params, other), data), labels), other
    features, hidden = logits(params, None, None, data)
    kept = jax.random.bernoulli(rng, KEPT, features.shape) / KEPT
    updated = {
        "mean": 0.9 * other["mean"] + 0.1 * hidden.mean(0),
        "var": 0.9 * other["var"] + 0.1 * hidden.var(0),
        "seen": other["seen"] + 1,
    }
    return cross_entropy(jax.nn.log_softmax((features * kept) @ params["output"]), labels), updated


def cross_entropy(scores, labels):
    return -jnp.mean(jnp.sum(scores * labels, axis=-1))


def accuracy(state, data, labels):
    return jnp.mean(predict(state, data).argmax(-1) == labels.argmax(-1), dtype=jnp.float32)


def dataset():
    known = tiny.dataset()
    return Dataset(
        *(Batch(part.data * np.float32([1, 1, 1, UNITS]), part.labels) for part in (known.train, known.test))
    )


def case(**changes):
    known = {
        "name": "tiny_training", "init": init, "loss": loss, "predict": predict, "accuracy": accuracy,
        "dataset": dataset, "training": TRAINING,
    }  # fmt: skip
    return tiny.case(**{**known, **changes})
