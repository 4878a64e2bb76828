"""Embedded data: real handwritten digits, offline."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parity.cases.case import Dataset
from parity.cases.specs import Array, Batch

SIDE, CLASSES = 28, 10
TRAIN, TEST = 2560, 360
_SEED = 20240229


def digits() -> Dataset:
    """Return 1,797 handwritten digits at 28x28: 2,560 augmented training images, 360 for testing.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    CC BY 4.0; the 1,797 that `sklearn.datasets.load_digits` has, in its order. Images are [n, 28, 28, 1] float32 in
    [0, 1], labels [n, 10] float32 one-hot. The test images are originals that no training image was made from; each
    training image is an original turned by at most 15 degrees and moved by at most 2 pixels, from a fixed seed.
    """
    rng = np.random.RandomState(_SEED)  # RandomState's streams are frozen, so every numpy draws the same images
    small, label, test, originals = _originals(rng)
    chosen = originals[np.arange(TRAIN) % len(originals)]
    angles = np.deg2rad(rng.uniform(-15, 15, TRAIN))
    shifts = rng.uniform(-2, 2, (TRAIN, 2))
    train_images = [_resize(small[i], a, s) for i, a, s in zip(chosen, angles, shifts, strict=True)]
    test_images = [_resize(small[i], 0.0, np.zeros(2)) for i in test]
    return Dataset(_batch(train_images, label[chosen]), _batch(test_images, label[test]))


def small_digits() -> Dataset:
    """Return the digits as they are, at 8x8: 1,437 images for training, and the same 360 for testing.

    Images are [n, 8, 8, 1] float32 in [0, 1], labels [n, 10] float32 one-hot.
    """
    images, label, test, originals = _originals(np.random.RandomState(_SEED))
    return Dataset(_batch(list(images[originals]), label[originals]), _batch(list(images[test]), label[test]))


def _originals(rng: np.random.RandomState) -> tuple[Array, Array, Array, Array]:
    """Return images [1797, 8, 8] in [0, 1], their labels, and the indices of those for testing and for training."""
    with np.load(Path(__file__).with_name("digits.npz")) as digits:
        images, label = digits["images"] / 16.0, digits["labels"].astype(int)
    order = rng.permutation(len(images))
    return images, label, order[:TEST], order[TEST:]


def _resize(image: Array, angle: float, shift: Array) -> Array:
    """Return `image` [8, 8] at 28x28, turned by `angle` radians and moved by `shift` pixels, linearly interpolated."""
    from scipy.ndimage import affine_transform

    scale = 8 / SIDE
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (SIDE - 1) / 2
    offset = np.full(2, 3.5) - turn @ (np.full(2, middle) + shift)
    return affine_transform(image, turn, offset=offset, output_shape=(SIDE, SIDE), order=1)


def _batch(images: list[Array], label: Array) -> Batch:
    data = np.stack(images)[..., None].clip(0, 1).astype(np.float32)
    return Batch(data, one_hot(label))


def one_hot(label: Array) -> Array:
    """Turn [n] integers into [n, 10] float32."""
    return np.eye(CLASSES, dtype=np.float32)[label]
