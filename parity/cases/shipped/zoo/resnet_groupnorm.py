"""For users of image models in Equinox: channels first, GroupNorm and weight standardisation, which need no state."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Dataset, Spec, Training, from_equinox

SIDE, CLASSES, GROUPS, EXAMPLES, TEST = 16, 4, 8, 512, 64


class StandardizedConv(eqx.nn.Conv2d):
    """A convolution whose kernels have mean 0 and variance 1 per output channel."""

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Return the features of one image [c, h, w]."""
        kernel = self.weight - self.weight.mean((1, 2, 3), keepdims=True)
        kernel = kernel * jax.lax.rsqrt(kernel.var((1, 2, 3), keepdims=True) * kernel[0].size + 1e-4)
        padding, strides = [tuple(p) for p in self.padding], tuple(self.stride)
        return jax.lax.conv_general_dilated(x[None], kernel, strides, padding)[0]


class Block(eqx.Module):
    """A pre-activation block: normalise, activate, convolve, twice."""

    norms: list
    convs: list
    shortcut: StandardizedConv

    def __init__(self, inside: int, outside: int, stride: int, key: Any) -> None:
        keys = jax.random.split(key, 3)
        self.norms = [eqx.nn.GroupNorm(GROUPS, inside), eqx.nn.GroupNorm(GROUPS, outside)]
        self.convs = [
            StandardizedConv(inside, outside, 3, stride, padding=1, use_bias=False, key=keys[0]),
            StandardizedConv(outside, outside, 3, padding=1, use_bias=False, key=keys[1]),
        ]
        self.shortcut = StandardizedConv(inside, outside, 1, stride, use_bias=False, key=keys[2])

    def __call__(self, x: Any) -> Any:
        """Return the features of one image [c, h, w]."""
        x = jax.nn.silu(self.norms[0](x))
        y = self.convs[1](jax.nn.silu(self.norms[1](self.convs[0](x))))
        return y + self.shortcut(x)


class ResNet(eqx.Module):
    """One image [3, 16, 16] to logits [4]."""

    stem: eqx.nn.Conv2d
    blocks: list
    norm: eqx.nn.GroupNorm
    head: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        stem, first, second, head = jax.random.split(key, 4)
        self.stem = eqx.nn.Conv2d(3, 16, 3, padding=1, key=stem)
        self.blocks = [Block(16, 32, 2, first), Block(32, 32, 2, second)]
        self.norm = eqx.nn.GroupNorm(GROUPS, 32)
        self.head = eqx.nn.Linear(32, CLASSES, key=head)

    def __call__(self, x: Any) -> Any:
        """Return the logits."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(jax.nn.silu(self.norm(x)), axis=(1, 2)))


def dataset() -> Dataset:
    """Make images with a bright blob in one of the four quarters, on noise."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, CLASSES, EXAMPLES + TEST)
    images = rng.normal(scale=0.5, size=(len(label), 3, SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    row, column = (rng.integers(2, 6, len(label)) + 8 * part for part in (label // 2, label % 2))
    distance = (rows - row[:, None, None]) ** 2 + (columns - column[:, None, None]) ** 2
    images += 2 * np.exp(-distance / 6)[:, None] * rng.uniform(0.5, 1, (len(label), 3, 1, 1))
    every = Batch(images.astype(np.float32), label.astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_equinox(
    "zoo_resnet_groupnorm",
    ResNet,
    "softmax_cross_entropy_with_integer_labels",
    data=Spec("b", 3, SIDE, SIDE),
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    training=Training(epochs=2, epochs_after=1, batch_size=64, learning_rate=0.003),
)
