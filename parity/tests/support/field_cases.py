"""Small cases as users have written them, each after one public report; loaded as a user's file."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity import Batch, Case, Dataset, Spec, Training

EXAMPLES, WIDTH = 300, 8
PROBES = ("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng")


def dataset():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(EXAMPLES, WIDTH)).astype(np.float32)
    labels = np.tanh(data @ rng.normal(size=(WIDTH, 1))).astype(np.float32)
    return Dataset(Batch(data[:240], labels[:240]), Batch(data[240:], labels[240:]))


def dense(key, into, out):
    return {"w": jax.random.normal(key, (into, out)) / np.sqrt(into), "b": jnp.zeros(out)}


def mean_squared_error(predict):
    def loss(params, other, rng, data, labels, train):
        return jnp.mean((predict((params, other), data) - labels) ** 2), other

    return loss


def case(name, init, loss, predict, probes=PROBES):
    training = Training(epochs=2, epochs_after=1, batch_size=40)
    return Case(name, init, loss, predict, Spec("b", WIDTH), Spec("b", 1), dataset, training=training, probes=probes)


# jax issue 3871: magnitudes of a Fourier transform as features, and the transform itself as an output.
def magnitudes(state, data):
    return jnp.abs(jnp.fft.rfft(data)) @ state[0]["w"] + state[0]["b"]


def spectrum(state, data):
    return {"y": magnitudes(state, data), "spectrum": jnp.fft.rfft(data)}


def fft_init(key):
    return dense(key, WIDTH // 2 + 1, 1), {}


fft = case("fft", fft_init, mean_squared_error(magnitudes), magnitudes)
complex_output = case("complex_output", fft_init, mean_squared_error(magnitudes), spectrum)


# jax enhancement proposal 9263: a typed key in the state, split at every step.
def key_init(key):
    first, second = jax.random.split(key)
    return {"a": dense(first, WIDTH, 16), "b": dense(second, 16, 1)}, {"noise": jax.random.key(7)}


def key_predict(state, data):
    hidden = jnp.tanh(data @ state[0]["a"]["w"] + state[0]["a"]["b"])
    return hidden @ state[0]["b"]["w"] + state[0]["b"]["b"]


def key_loss(params, other, rng, data, labels, train):
    kept, drawn = jax.random.split(other["noise"])
    noisy = data + 0.1 * jax.random.normal(drawn, data.shape)
    return jnp.mean((key_predict((params, other), noisy) - labels) ** 2), {"noise": kept}


typed_key = case("typed_key", key_init, key_loss, key_predict, (*PROBES, "batch_stats"))


# flax issues 4327 and 4328: an NNX module with batch normalisation and dropout, whose random state holds typed keys.
class Network(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(WIDTH, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, data):
        return self.output(self.dropout(nnx.tanh(self.norm(self.hidden(data)))))


def nnx_init(key):
    global graph
    graph, params, other = nnx.split(Network(nnx.Rngs(key)), nnx.Param, ...)
    return params, other


def nnx_run(params, other, data, train):
    model = nnx.merge(graph, params, other)
    model.train() if train else model.eval()
    found = model(data)
    return found, nnx.state(model, nnx.Not(nnx.Param))


def nnx_loss(params, other, rng, data, labels, train):
    found, new = nnx_run(params, other, data, train)
    return jnp.mean((found - labels) ** 2), new


nnx_keys = case("nnx_keys", nnx_init, nnx_loss, lambda state, data: nnx_run(*state, data, False)[0],
                (*PROBES, "batch_stats"))  # fmt: skip


# Leaves of every kind beside each other: complex numbers, integers, truth values, and a parameter without axes.
def mixed_init(rng):
    first, second = jax.random.split(rng)
    return {"hidden": dense(first, WIDTH, 6), "scale": jnp.float32(1.5), "output": dense(second, 6, 1)}, {}


def mixed_hidden(params, data):
    return jnp.tanh(data @ params["hidden"]["w"] + params["hidden"]["b"]) * params["scale"]


def mixed_value(state, data):
    return mixed_hidden(state[0], data) @ state[0]["output"]["w"] + state[0]["output"]["b"]


def mixed_outputs(state, data):
    value = mixed_value(state, data)
    return {
        "value": value,
        "spectrum": jnp.fft.fft(mixed_hidden(state[0], data)),
        "quantised": jnp.clip(jnp.round(value * 8), -127, 127).astype(jnp.int8),
        "positive": value[:, 0] > 0,
    }


mixed = case("mixed", mixed_init, mean_squared_error(mixed_value), mixed_outputs)
