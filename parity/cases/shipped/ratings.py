"""A recommender in plain functions: embedded ids and a context vector, squared error, no batch statistics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.cases.case import Case, Dataset, Training
from parity.cases.specs import Batch, Spec

USERS, WIDTH, CONTEXT = 50, 8, 4


def init(rng: Any) -> tuple[Any, Any]:
    """Return parameters of an embedding, a hidden layer and an output; there is no other state."""
    table, hidden, output = jax.random.split(rng, 3)
    params = {
        "embedding": jax.random.normal(table, (USERS, WIDTH)),
        "hidden": {"kernel": jax.random.normal(hidden, (WIDTH + CONTEXT, 32)) / 4, "bias": jnp.zeros(32)},
        "output": {"kernel": jax.random.normal(output, (32, 1)) / 4},
    }
    return params, {}


def predict(state: Any, data: Any) -> Any:
    """Return the rating, [b] float32."""
    params, _ = state
    x = jnp.concatenate([params["embedding"][data["user"]], data["context"]], axis=-1)
    x = jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return (x @ params["output"]["kernel"])[:, 0]


def loss(params: Any, other_state: Any, rng: Any, data: Any, rating: Any, train: bool) -> tuple[Any, Any]:
    """Return the mean squared error, [] float32; there is no other state."""
    return jnp.mean((predict((params, other_state), data) - rating) ** 2), other_state


def dataset() -> Dataset:
    """Make 2,560 + 400 ratings: a taste per user against the context, with noise."""
    rng = np.random.default_rng(7)
    taste = rng.normal(size=(USERS, CONTEXT))
    user = rng.integers(0, USERS, 2960).astype(np.int32)
    context = rng.normal(size=(2960, CONTEXT)).astype(np.float32)
    rating = np.sum(taste[user] * context, axis=1) + rng.normal(scale=0.1, size=2960)
    examples = {"user": user, "context": context}, rating.astype(np.float32)
    train, test = (
        Batch({k: v[part] for k, v in examples[0].items()}, examples[1][part])
        for part in (slice(0, 2560), slice(2560, None))
    )
    return Dataset(train, test)


case = Case(
    name="ratings",
    init=init,
    loss=loss,
    predict=predict,
    data={"user": Spec("b", dtype="int32"), "context": Spec("b", CONTEXT)},
    labels=Spec("b"),
    dataset=dataset,
    training=Training(epochs=3, epochs_after=2),
    probes=("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng"),
)
