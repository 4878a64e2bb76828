"""For users of segmentation models in Equinox: a U-Net with transposed convolutions, skips and a loss per pixel."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity import Batch, Dataset, Spec, Training, from_equinox

SIDE, WIDTH, EXAMPLES, TEST = 16, 12, 384, 48


class Twice(eqx.Module):
    """Two convolutions of one image [c, h, w], with GroupNorm."""

    convs: list
    norm: eqx.nn.GroupNorm

    def __init__(self, inside: int, outside: int, key: Any) -> None:
        first, second = jax.random.split(key)
        self.convs = [
            eqx.nn.Conv2d(inside, outside, 3, padding=1, key=first),
            eqx.nn.Conv2d(outside, outside, 3, padding=1, key=second),
        ]
        self.norm = eqx.nn.GroupNorm(4, outside)

    def __call__(self, x: Any) -> Any:
        """Return the features."""
        return jax.nn.leaky_relu(self.convs[1](jax.nn.leaky_relu(self.norm(self.convs[0](x)))))


class UNet(eqx.Module):
    """One image [1, 16, 16] to the logit of each pixel, [16, 16]."""

    down: Twice
    bottom: Twice
    up: eqx.nn.ConvTranspose2d
    merged: Twice
    head: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d

    def __init__(self, key: Any) -> None:
        keys = jax.random.split(key, 5)
        self.down, self.bottom = Twice(1, WIDTH, keys[0]), Twice(WIDTH, 2 * WIDTH, keys[1])
        self.up = eqx.nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, 2, key=keys[2])
        self.merged = Twice(2 * WIDTH, WIDTH, keys[3])
        self.head = eqx.nn.Conv2d(WIDTH, 1, 1, key=keys[4])
        self.pool = eqx.nn.MaxPool2d(2, 2)

    def __call__(self, image: Any) -> Any:
        """Return the logits."""
        skip = self.down(image)
        x = self.up(self.bottom(self.pool(skip)))
        return self.head(self.merged(jnp.concatenate([skip, x])))[0]


def dataset() -> Dataset:
    """Make discs on a sloping background with noise; the pixels of the disc are the label."""
    rng = np.random.default_rng(9)
    count = EXAMPLES + TEST
    rows, columns = np.mgrid[:SIDE, :SIDE]
    row, column, radius = (rng.uniform(low, high, (count, 1, 1)) for low, high in ((4, 12), (4, 12), (2, 5)))
    disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    slope = rng.uniform(-0.1, 0.1, (2, count, 1, 1))
    image = disc + slope[0] * rows + slope[1] * columns + rng.normal(scale=0.2, size=disc.shape)
    every = Batch(image[:, None].astype(np.float32), disc.astype(np.float32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_equinox(
    "zoo_unet",
    UNet,
    optax.sigmoid_binary_cross_entropy,
    data=Spec("b", 1, SIDE, SIDE),
    labels=Spec("b", SIDE, SIDE),
    dataset=dataset,
    training=Training(epochs=2, epochs_after=1, batch_size=32),
)
