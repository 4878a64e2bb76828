"""The input pipeline of tf.data, which gives JAX and TensorFlow the same batches in the same order; and MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.case import Dataset, Training
from parity.cases.data import one_hot
from parity.cases.specs import Batch
from parity.core.errors import CaseError

SHUFFLE_BUFFER = 5000


class Pipeline:
    """Batches of a training set: shuffled in each epoch, the remainder dropped.

    The order depends on the seed and the epoch alone. So training that is handed over after epoch 3 sees the same
    epoch 4, in this process or another.

    Raises:
        CaseError: the training set is smaller than a batch.
    """

    def __init__(self, examples: Batch, training: Training) -> None:
        self.examples, self._training = examples, training
        self.steps_per_epoch = training.steps_per_epoch(examples.size)
        with tf.device("CPU:0"):
            self._indices = tf.data.Dataset.range(examples.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0, as numpy arrays."""
        seed = (self._training.seed << 16) + number
        with tf.device("CPU:0"):
            shuffled = self._indices.shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=False)
            batches = shuffled.batch(self._training.batch_size, drop_remainder=True)
            for chosen in batches.as_numpy_iterator():
                yield self.examples.rows(chosen)


def mnist() -> Dataset:
    """Return MNIST: 60,000 training and 10,000 test images, [n, 28, 28, 1] float32 in [0, 1]; labels one-hot.

    Raises:
        CaseError: it is neither in Keras' cache nor can it be downloaded.
    """
    try:
        train, test = tf.keras.datasets.mnist.load_data()
    except Exception as error:
        raise CaseError(
            f"MNIST cannot be had: {error}. Expected a network, or mnist.npz in ~/.keras/datasets; "
            "copy it there, or use --case reference, which needs neither."
        ) from error
    return Dataset(_mnist_batch(*train), _mnist_batch(*test))


def _mnist_batch(images: Any, label: Any) -> Batch:
    return Batch((images[..., None] / 255.0).astype(np.float32), one_hot(label))
