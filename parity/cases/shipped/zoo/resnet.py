"""For users of image classifiers in Flax Linen: strided convolutions, BatchNorm, shortcuts, pooling."""

from functools import partial
from typing import Any

import flax.linen as nn
import numpy as np

from parity import Batch, Dataset, Spec, Training, from_linen

SIDE, CLASSES, EXAMPLES, TEST = 16, 4, 512, 64


class Block(nn.Module):
    """A residual block: [b, h, w, c] to [b, h / strides, w / strides, features]."""

    features: int
    strides: int

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return the sum of two convolutions and the shortcut."""
        conv = partial(nn.Conv, self.features, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.8)
        y = nn.relu(norm()(conv((3, 3), self.strides)(x)))
        y = norm(scale_init=nn.initializers.constant(0.5))(conv((3, 3))(y))
        if self.strides > 1:
            x = norm()(conv((1, 1), self.strides)(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Images [b, 16, 16, 3] to logits [b, 4]."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        """Return the logits; with `train`, batch statistics are used and updated."""
        x = nn.Conv(16, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for features, strides in ((16, 1), (32, 2)):
            x = Block(features, strides)(x, train)
        return nn.Dense(CLASSES)(x.mean((1, 2)))


def dataset() -> Dataset:
    """Make images of stripes in four directions, with colours, phases and noise."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, EXAMPLES + TEST)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angle = (np.pi * label / CLASSES)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (len(label), 1, 1))
    stripes = np.sin(1.2 * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
    images = stripes[..., None] * rng.uniform(0.5, 1, (len(label), 1, 1, 3))
    images += rng.normal(scale=0.3, size=images.shape)
    every = Batch(images.astype(np.float32), label.astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_linen(
    "zoo_resnet",
    ResNet(),
    "softmax_cross_entropy_with_integer_labels",
    data=Spec("b", SIDE, SIDE, 3),
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    training=Training(epochs=2, epochs_after=1, batch_size=64, learning_rate=0.003),
)
