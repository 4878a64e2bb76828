"""Small cases that export and run in one way each; loaded as a user's file."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from parity import Training
from parity.tests.support.field_cases import WIDTH, case, dense, mean_squared_error

PROBES = ("predict", "eval_loss", "eval_gradient")


def made(name, init, predict, loss=None):
    return case(name, init, loss or mean_squared_error(predict), predict, PROBES)


def init(key):
    first, second = jax.random.split(key)
    return {"a": dense(first, WIDTH, 16), "b": dense(second, 16, 1)}, {}


def hidden(state, data):
    return jnp.tanh(data @ state[0]["a"]["w"] + state[0]["a"]["b"])


def head(state, values):
    return values @ state[0]["b"]["w"] + state[0]["b"]["b"]


def plain(state, data):
    return head(state, hidden(state, data))


works = made("works", init, plain)


# erf of a weight: a composite since jax 0.9, which TensorFlow 2.21 does not know, and which can be written without.
def skewed_predict(state, data):
    return head(state, jax.scipy.special.erf(state[0]["a"]["b"]) + hidden(state, data))


skewed = made("skewed", init, skewed_predict)


def topk_predict(state, data):
    values, _ = jax.lax.top_k(hidden(state, data), 16)
    return head(state, values)


topk = made("topk", init, topk_predict)


def sort_predict(state, data):
    return head(state, jnp.sort(hidden(state, data), -1))


sort = made("sort", init, sort_predict)


def gaussian_init(key):
    return {"l": jnp.eye(WIDTH) + 0.1 * jax.random.normal(key, (WIDTH, WIDTH)), "v": jnp.ones((WIDTH, 1))}, {}


def cholesky_predict(state, data):
    factor = jnp.linalg.cholesky(state[0]["l"] @ state[0]["l"].T + jnp.eye(WIDTH))
    return jax.scipy.linalg.solve_triangular(factor, data.T, lower=True).T @ state[0]["v"]


cholesky = made("cholesky", gaussian_init, cholesky_predict)


def solve_predict(state, data):
    return jnp.linalg.solve(state[0]["l"] @ state[0]["l"].T + jnp.eye(WIDTH), data.T).T @ state[0]["v"]


solve = made("solve", gaussian_init, solve_predict)


TABLE = np.sin(np.arange(WIDTH * 4096, dtype=np.float32).reshape(WIDTH, 4096)).astype(np.float32)


def table_predict(state, data):
    return jnp.tanh(data @ TABLE / 64) @ state[0]["w"] + state[0]["b"]


table = made("table", lambda key: (dense(key, 4096, 1), {}), table_predict)


def sized_predict(state, data):
    return plain(state, data) if data.shape[0] > 5 else plain(state, data) + 0


sized = made("sized", init, sized_predict)


def no_init(key):
    raise ValueError("no file with weights")


def no_predict(state, data):
    raise KeyError("layer_2")


def bare_loss(params, other, rng, data, labels, train):
    return jnp.mean(data)


def without_gradient(params, other, rng, data, labels, train):
    windows = jax.lax.reduce_window(
        hidden((params, other), data)[None, :, :, None], -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 1, 1, 1), "VALID",
        window_dilation=(1, 2, 2, 1),
    )  # fmt: skip
    return windows.mean(), other


broken_init = dataclasses.replace(works, name="broken_init", init=no_init)
broken_predict = dataclasses.replace(works, name="broken_predict", predict=no_predict)
broken_loss = dataclasses.replace(works, name="broken_loss", loss=bare_loss)
broken_gradient = dataclasses.replace(works, name="broken_gradient", loss=without_gradient)


# JAX traces it, and cannot compile it: lax.reshape does not compare the numbers of elements.
def unlowered_predict(state, data):
    return jax.lax.reshape(data * state[0]["a"]["w"][0, 0], (3, WIDTH))


unlowered = dataclasses.replace(
    works, name="unlowered", loss=None, predict=unlowered_predict, probes=("predict",), training=Training(epochs=0)
)
