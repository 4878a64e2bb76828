"""For users of language models in Flax NNX: trained on whole texts, served token by token by a scan over a KV cache."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from parity import Batch, Dataset, Spec, Training, from_nnx

VOCABULARY, LENGTH, WIDTH, HEADS, BLOCKS, EXAMPLES, TEST = 17, 12, 32, 4, 2, 512, 64


class Block(nnx.Module):
    """A causal transformer block, with RMSNorm, and without biases."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norms = nnx.List([nnx.RMSNorm(WIDTH, rngs=rngs) for _ in range(2)])
        self.qkv = nnx.Linear(WIDTH, 3 * WIDTH, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 2 * WIDTH, use_bias=False, rngs=rngs)
        self.down = nnx.Linear(2 * WIDTH, WIDTH, use_bias=False, rngs=rngs)

    def __call__(self, x: Any, cache: Any, start: Any) -> tuple[Any, Any]:
        """Return tokens [b, t, 32] from the position `start`, and the cache with their keys and values.

        The cache is [2, b, length, heads, width]; a position attends to those in it that are not later.
        """
        query, *written = jnp.split(self.qkv(self.norms[0](x)).reshape(*x.shape[:2], HEADS, -1), 3, -1)
        cache = jax.lax.dynamic_update_slice_in_dim(cache, jnp.stack(written), start, 2)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, cache[0]) / query.shape[-1] ** 0.5
        causal = jnp.arange(LENGTH) <= start + jnp.arange(x.shape[1])[:, None]
        weights = jax.nn.softmax(jnp.where(causal, scores, -1e9))
        x = x + self.out(jnp.einsum("bhqk,bkhd->bqhd", weights, cache[1]).reshape(x.shape))
        return x + self.down(nnx.silu(self.up(self.norms[1](x)))), cache


class GPT(nnx.Module):
    """Tokens [b, 12] int32 to the logits of the next ones, [b, 12, 17]."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.positions = nnx.Embed(LENGTH, WIDTH, rngs=rngs)
        self.blocks = nnx.List([Block(rngs) for _ in range(BLOCKS)])
        self.norm = nnx.RMSNorm(WIDTH, rngs=rngs)

    def step(self, tokens: Any, caches: Any, start: Any) -> tuple[Any, Any]:
        """Return the logits after `tokens`, which begin at the position `start`, and the caches."""
        x = self.tokens(tokens) + self.positions(start + jnp.arange(tokens.shape[1]))
        written = []
        for block, before in zip(self.blocks, caches, strict=True):
            x, after = block(x, before, start)
            written.append(after)
        return self.tokens.attend(self.norm(x)), written

    def __call__(self, tokens: Any, train: bool) -> Any:
        """Return the logits: with `train` of all positions at once, else one after the other."""
        shape = (2, tokens.shape[0], LENGTH, HEADS, WIDTH // HEADS)
        caches = [jnp.zeros(shape)] * BLOCKS
        if train:
            return self.step(tokens, caches, 0)[0]

        def decode(caches: Any, at: Any) -> tuple[Any, Any]:
            token = jax.lax.dynamic_slice_in_dim(tokens, at, 1, 1)
            logits, caches = self.step(token, caches, at)
            return caches, logits[:, 0]

        return jax.lax.scan(decode, caches, jnp.arange(LENGTH))[1].transpose(1, 0, 2)


def dataset() -> Dataset:
    """Make texts that count upwards by a step of 1 to 4 modulo 17; the label is the text one token later."""
    rng = np.random.default_rng(5)
    first = rng.integers(0, VOCABULARY, (EXAMPLES + TEST, 1))
    text = (first + rng.integers(1, 5, first.shape) * np.arange(LENGTH + 1)) % VOCABULARY
    every = Batch(text[:, :-1].astype(np.int32), text[:, 1:].astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_nnx(
    "zoo_gpt",
    GPT,
    optax.softmax_cross_entropy_with_integer_labels,
    data=Spec("b", LENGTH, dtype="int32"),
    labels=Spec("b", LENGTH, dtype="int32"),
    dataset=dataset,
    training=Training(epochs=3, epochs_after=1, batch_size=64),
)
