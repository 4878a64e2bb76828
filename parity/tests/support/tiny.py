"""A case so small that it compiles at once, with handles to plant defects in."""

import jax
import jax.numpy as jnp
import numpy as np

from parity.cases.case import Case, Dataset, Training
from parity.cases.specs import Batch, Spec


def init(rng):
    first, second = jax.random.split(rng)
    return {
        "hidden": {"kernel": jax.random.normal(first, (4, 8)), "bias": jnp.full(8, 0.1)},
        "output": jax.random.normal(second, (8, 3)),
    }, {}


def logits(params, data, offset=0.0):
    hidden = jax.nn.relu(data @ params["hidden"]["kernel"] + params["hidden"]["bias"] + offset)
    return hidden @ params["output"]


def predict(state, data):
    return jax.nn.log_softmax(logits(state[0], data))


def loss(params, other_state, rng, data, labels, train):
    return -jnp.mean(jnp.sum(predict((params, other_state), data) * labels, axis=-1)), other_state


def accuracy(state, data, labels):
    return jnp.mean(predict(state, data).argmax(-1) == labels.argmax(-1), dtype=jnp.float32)


def dataset():
    rng = np.random.RandomState(0)
    data = rng.normal(size=(120, 4)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[data[:, :3].argmax(1)]
    return Dataset(Batch(data[:80], labels[:80]), Batch(data[80:], labels[80:]))


def case(**changes):
    known = {
        "name": "tiny",
        "init": init,
        "loss": loss,
        "predict": predict,
        "accuracy": accuracy,
        "data": Spec("b", 4),
        "labels": Spec("b", 3),
        "dataset": dataset,
        "training": Training(epochs=4, epochs_after=2, batch_size=16),
        "probes": ("predict", "accuracy", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng"),
    }
    return Case(**{**known, **changes})


tiny = case()
