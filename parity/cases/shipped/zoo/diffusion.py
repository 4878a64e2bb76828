"""For users of diffusion models in Flax NNX: noise from typed keys in the state, or from a seed per example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity import Batch, Dataset, Spec, Training, from_nnx

SIDE, STEPS, WIDTH, EXAMPLES, TEST = 8, 50, 32, 768, 96


def schedule(time: Any) -> tuple[Any, Any]:
    """Return the shares of image and noise at `time` [b], of 50 steps, each [b, 1, 1, 1]: a cosine schedule."""
    angle = (time.astype(jnp.float32)[:, None, None, None] + 1) / (STEPS + 1) * (np.pi / 2)
    return jnp.cos(angle), jnp.sin(angle)


class Denoiser(nnx.Module):
    """Noisy images [b, 8, 8, 1] and times [b] int32 to the images, [b, 8, 8, 1]."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(1, WIDTH, (3, 3), rngs=rngs)
        self.time = nnx.Linear(16, WIDTH, use_bias=False, rngs=rngs)
        self.norm = nnx.GroupNorm(WIDTH, num_groups=8, rngs=rngs)
        self.second = nnx.Conv(WIDTH, WIDTH, (3, 3), rngs=rngs)
        self.last = nnx.Conv(WIDTH, 1, (3, 3), rngs=rngs)

    def __call__(self, noisy: Any, time: Any) -> Any:
        """Return the images."""
        angles = time.astype(jnp.float32)[:, None] / STEPS * 2.0 ** np.arange(8, dtype=np.float32)
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        x = nnx.silu(self.first(noisy)) + self.time(waves)[:, None, None]
        return self.last(x + nnx.silu(self.second(self.norm(x))))


class Diffusion(nnx.Module):
    """A step of diffusion: images get noise, and are found in it."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.denoiser = Denoiser(rngs)
        self.rngs = rngs.fork()

    def __call__(self, image: Any, time: Any, seed: Any, train: bool) -> Any:
        """Return the images found, [b, 8, 8, 1].

        Args:
            image: [b, 8, 8, 1] float32.
            time: [b] int32, how much noise; with `train` it is drawn.
            seed: [b] int32, of the noise of each example; with `train` it is drawn.
            train: whether to draw from the keys in the state.
        """
        if train:
            time = jax.random.randint(self.rngs.time(), time.shape, 0, STEPS)
            noise = jax.random.normal(self.rngs.noise(), image.shape)
        else:
            keys = jax.vmap(lambda one: jax.random.fold_in(jax.random.key(0), one))(seed)
            noise = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:]))(keys)
        kept, added = schedule(time)
        return self.denoiser(kept * image + added * noise, time)


def dataset() -> Dataset:
    """Make images of one soft blob each; the images are the labels too."""
    rng = np.random.default_rng(7)
    count = EXAMPLES + TEST
    rows, columns = np.mgrid[:SIDE, :SIDE]
    row, column = rng.uniform(1, SIDE - 2, (2, count, 1, 1))
    image = 2 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)[..., None].astype(np.float32) - 0.5
    time, seed = rng.integers(0, STEPS, count), rng.integers(0, 2**20, count)
    every = Batch({"image": image, "time": time.astype(np.int32), "seed": seed.astype(np.int32)}, image)
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_nnx(
    "zoo_diffusion",
    lambda rngs: Diffusion(rngs=nnx.Rngs(params=rngs.params(), time=rngs.time(), noise=rngs.noise())),
    "squared_error",
    data={"image": Spec("b", SIDE, SIDE, 1), "time": Spec("b", dtype="int32"), "seed": Spec("b", dtype="int32")},
    labels=Spec("b", SIDE, SIDE, 1),
    dataset=dataset,
    training=Training(epochs=2, epochs_after=1, batch_size=64),
)
