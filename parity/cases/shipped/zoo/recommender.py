"""For users of recommenders in Flax Linen: large embedding tables, a masked mean of a history, wide and deep."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from parity import Batch, Dataset, Spec, Training, from_linen

USERS, ITEMS, WIDTH, HISTORY, CONTEXT, EXAMPLES, TEST = 3000, 8000, 16, 12, 5, 6144, 512


class Recommender(nn.Module):
    """Users, items and context to the logit of a click, [b]."""

    @nn.compact
    def __call__(self, user: Any, item: Any, history: Any, context: Any) -> Any:
        """Return the logits.

        Args:
            user: [b] int32.
            item: [b] int32.
            history: [b, 12] int32, items that the user chose before; 0 is padding.
            context: [b, 5] float32.
        """
        items = nn.Embed(ITEMS, WIDTH, name="items")
        users = nn.Embed(USERS, WIDTH, name="users")(user)
        mask = (history > 0)[..., None]
        past = jnp.where(mask, items(history), 0).sum(1) / jnp.maximum(mask.sum(1), 1)
        one = items(item)
        parts = [users, past, one, users * one, past * one, context]
        deep = jnp.concatenate(parts, -1)
        for features in (32, 16):
            deep = nn.relu(nn.LayerNorm()(nn.Dense(features)(deep)))
        wide = nn.Embed(ITEMS, 1, name="popularity", embedding_init=nn.initializers.zeros)(item)
        return (nn.Dense(1)(deep) + wide)[:, 0]


def dataset() -> Dataset:
    """Make clicks: each item has one of eight kinds and a popularity, each user prefers two kinds."""
    rng = np.random.default_rng(3)
    count, kinds = EXAMPLES + TEST, 8
    kind, popularity = rng.integers(0, kinds, ITEMS), rng.normal(size=ITEMS)
    favourite = rng.integers(0, kinds, (USERS, 2))
    user, item = rng.integers(0, USERS, count), (ITEMS * rng.random(count) ** 3).astype(int)
    shelves = [np.flatnonzero(kind == each)[1:] for each in range(kinds)]
    liked = favourite[user[:, None], rng.integers(0, 2, (count, HISTORY))]
    history = np.array([[shelves[each][rng.integers(0, 60)] for each in row] for row in liked])
    history *= np.arange(HISTORY) < rng.integers(0, HISTORY + 1, (count, 1))
    context = rng.normal(size=(count, CONTEXT))
    score = 3 * (favourite[user] == kind[item, None]).any(1) - 1 + popularity[item] + context[:, 0]
    click = rng.random(count) < 1 / (1 + np.exp(-score))
    data = {"user": user, "item": item, "history": history}
    data = {name: array.astype(np.int32) for name, array in data.items()} | {"context": context.astype(np.float32)}
    every = Batch(data, click.astype(np.float32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_linen(
    "zoo_recommender",
    Recommender(),
    optax.sigmoid_binary_cross_entropy,
    data={
        "user": Spec("b", dtype="int32"),
        "item": Spec("b", dtype="int32"),
        "history": Spec("b", HISTORY, dtype="int32"),
        "context": Spec("b", CONTEXT),
    },
    labels=Spec("b"),
    dataset=dataset,
    served=nn.sigmoid,
    training=Training(epochs=2, epochs_after=1, batch_size=256),
)
