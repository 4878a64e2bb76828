"""For users of vision transformers in Flax NNX: patches, a class token, attention, keys for dropout in the state."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity import Batch, Dataset, Spec, Training, from_nnx

SIDE, PATCH, WIDTH, HEADS, BLOCKS, CLASSES, EXAMPLES, TEST = 16, 4, 32, 4, 2, 6, 768, 96


class Block(nnx.Module):
    """A pre-norm transformer block on [b, t, 32]."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norms = nnx.List([nnx.LayerNorm(WIDTH, rngs=rngs) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, use_bias=False, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(WIDTH, 2 * WIDTH, rngs=rngs), nnx.Linear(2 * WIDTH, WIDTH, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        """Return the tokens."""
        x = x + self.dropout(self.attention(self.norms[0](x)))
        return x + self.dropout(self.down(nnx.gelu(self.up(self.norms[1](x)), approximate=True)))


class ViT(nnx.Module):
    """Images [b, 16, 16, 1] to logits [b, 6]."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        normal = nnx.initializers.normal(0.2)
        tokens = (SIDE // PATCH) ** 2 + 1
        self.patches = nnx.Conv(1, WIDTH, (PATCH, PATCH), PATCH, padding="VALID", rngs=rngs)
        self.token = nnx.Param(normal(rngs.params(), (1, 1, WIDTH)))
        self.position = nnx.Param(normal(rngs.params(), (1, tokens, WIDTH)))
        self.blocks = nnx.List([Block(rngs) for _ in range(BLOCKS)])
        self.norm, self.head = nnx.LayerNorm(WIDTH, rngs=rngs), nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        x = self.patches(images)
        x = x.reshape(x.shape[0], -1, WIDTH)
        token = jnp.broadcast_to(self.token[...], (x.shape[0], 1, WIDTH))
        x = jnp.concatenate([token, x], 1) + self.position[...]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def dataset() -> Dataset:
    """Make images with one square in each half; the class is the pair of their rows, of which one is always lower."""
    rng = np.random.default_rng(4)
    count = EXAMPLES + TEST
    label = rng.integers(0, CLASSES, count)
    left, right = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])[label].T
    images = rng.normal(scale=0.3, size=(count, SIDE, SIDE, 1))
    at = np.arange(count)
    for row, half in ((left, 0), (right, 8)):
        column = half + rng.integers(0, 2, count) * PATCH
        for y, x in np.ndindex(PATCH, PATCH):
            images[at, row * PATCH + y, column + x, 0] += 1
    every = Batch(images.astype(np.float32), label.astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_nnx(
    "zoo_vit",
    ViT,
    "softmax_cross_entropy_with_integer_labels",
    data=Spec("b", SIDE, SIDE, 1),
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    training=Training(epochs=4, epochs_after=1, batch_size=64, learning_rate=0.004),
)
