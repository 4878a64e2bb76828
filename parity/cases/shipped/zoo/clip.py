"""For users of two-tower models in Flax NNX: a contrastive loss over all pairs of a batch, a learnt scale (0-d)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity import Batch, Dataset, Spec, Training, from_nnx

SIDE, WORDS, LENGTH, WIDTH, SHAPES, COLOURS, EXAMPLES, TEST = 12, 24, 6, 24, 4, 3, 768, 96


class ImageTower(nnx.Module):
    """Images [b, 12, 12, 3] to features [b, 24]."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 16, (3, 3), 2, rngs=rngs)
        self.second = nnx.Conv(16, 32, (3, 3), 2, rngs=rngs)
        self.head = nnx.Linear(9 * 32, WIDTH, use_bias=False, rngs=rngs)

    def __call__(self, images: Any) -> Any:
        """Return the features."""
        x = nnx.gelu(self.second(nnx.gelu(self.first(images), approximate=True)), approximate=True)
        return self.head(x.reshape(x.shape[0], -1))


class TextTower(nnx.Module):
    """Words [b, 6] int32, padded with 0, to features [b, 24]: a GRU, read at the last word."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.words = nnx.Embed(WORDS, 16, rngs=rngs)
        self.gru = nnx.GRUCell(16, 32, rngs=rngs)
        self.head = nnx.Linear(32, WIDTH, use_bias=False, rngs=rngs)

    def __call__(self, text: Any) -> Any:
        """Return the features."""
        x, state = self.words(text), jnp.zeros((text.shape[0], 32))
        for at in range(LENGTH):
            after, _ = self.gru(state, x[:, at])
            state = jnp.where(text[:, at, None] > 0, after, state)
        return self.head(state)


class Towers(nnx.Module):
    """Images and texts to unit vectors, and the scale of their products."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.image, self.text = ImageTower(rngs), TextTower(rngs)
        self.scale = nnx.Param(jnp.log(5.0))

    def __call__(self, image: Any, text: Any) -> Any:
        """Return {image: [b, 24], text: [b, 24], scale: []}."""
        towers = {"image": self.image(image), "text": self.text(text)}
        unit = {name: x * jax.lax.rsqrt((x**2).sum(-1, keepdims=True) + 1e-6) for name, x in towers.items()}
        return unit | {"scale": jnp.exp(self.scale[...])}


def contrastive(outputs: Any, concept: Any) -> Any:
    """Return the loss of each pair, in both directions; all texts of the same concept [b] int32 are right."""
    logits = outputs["scale"] * outputs["image"] @ outputs["text"].T
    same = (concept[:, None] == concept).astype(jnp.float32)
    targets = same / same.sum(1, keepdims=True)
    return -((jax.nn.log_softmax(logits, 1) + jax.nn.log_softmax(logits, 0)) * targets).sum(1) / 2


def vectors(outputs: Any) -> Any:
    """Return what is served: the unit vectors."""
    return {"image": outputs["image"], "text": outputs["text"]}


def dataset() -> Dataset:
    """Make images of coloured bars, squares, crosses and frames, and captions with filler words."""
    rng = np.random.default_rng(6)
    shape, colour = rng.integers(0, SHAPES, EXAMPLES + TEST), rng.integers(0, COLOURS, EXAMPLES + TEST)
    drawn = np.zeros((SHAPES, 6, 6))
    drawn[0, 2:4], drawn[1, 1:5, 1:5], drawn[2, 2:4], drawn[2, :, 2:4], drawn[3] = 1, 1, 1, 1, 1
    drawn[3, 1:5, 1:5] = 0
    images = rng.normal(scale=0.2, size=(len(shape), SIDE, SIDE, 3))
    text = rng.integers(8, WORDS, (len(shape), LENGTH))
    for n, (row, column) in enumerate(rng.integers(0, 7, (len(shape), 2))):
        images[n, row : row + 6, column : column + 6, colour[n]] += drawn[shape[n]]
        length = rng.integers(3, LENGTH + 1)
        text[n, rng.choice(length, 2, replace=False)] = 1 + shape[n], 5 + colour[n]
        text[n, length:] = 0
    data = {"image": images.astype(np.float32), "text": text.astype(np.int32)}
    every = Batch(data, (shape * COLOURS + colour).astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_nnx(
    "zoo_clip",
    Towers,
    contrastive,
    data={"image": Spec("b", SIDE, SIDE, 3), "text": Spec("b", LENGTH, dtype="int32")},
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    served=vectors,
    training=Training(epochs=4, epochs_after=1, batch_size=64, learning_rate=0.005),
)
