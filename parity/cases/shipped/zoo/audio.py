"""For users of audio classifiers in Flax Linen: a log-mel front end with an FFT, convolutions over time, LayerNorm."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from parity import Batch, Dataset, Spec, Training, from_linen

SAMPLES, FRAME, HOP, BANDS, CLASSES, EXAMPLES, TEST = 1024, 128, 64, 20, 4, 512, 64


def filters() -> Any:
    """Return triangular filters on the mel scale, [65, 20] float32: a share of each frequency for each band."""
    bins = FRAME // 2 + 1
    mel = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1) / 4000 * (bins - 1)
    at = np.arange(bins)[:, None]
    up, down = (at - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - at) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def log_mel(sound: Any) -> Any:
    """Return the log-mel spectrogram [b, 15, 20] of sounds [b, 1024]."""
    starts = HOP * np.arange((SAMPLES - FRAME) // HOP + 1)
    frames = sound[:, starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME).astype(np.float32)
    power = jnp.abs(jnp.fft.rfft(frames)) ** 2
    return jnp.log(power @ filters() + 1e-3)


class Audio(nn.Module):
    """Sounds [b, 1024] to logits [b, 4]."""

    @nn.compact
    def __call__(self, sound: Any, train: bool) -> Any:
        """Return the logits; with `train`, dropout is on."""
        emphasis = self.param("emphasis", nn.initializers.constant(0.9), ())
        x = log_mel(sound - emphasis * jnp.pad(sound, ((0, 0), (1, 0)))[:, :-1])
        for features in (24, 32):
            x = nn.LayerNorm()(x)
            x = nn.gelu(nn.Conv(features, (3,), 2)(x), approximate=True)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        weights = nn.softmax(nn.Dense(1, use_bias=False)(nn.tanh(nn.Dense(16)(x))), axis=1)
        return nn.Dense(CLASSES)((weights * x).sum(1))


def dataset() -> Dataset:
    """Make chirps: two ranges of frequency, rising or falling, with noise."""
    rng = np.random.default_rng(2)
    label = rng.integers(0, CLASSES, EXAMPLES + TEST)
    time = np.linspace(0, 1, SAMPLES)
    low = np.where(label % 2, 30, 120) * rng.uniform(0.9, 1.1, len(label))
    slope = np.where(label // 2, 1, -1) * low * 0.8
    start = np.where(slope > 0, low, low - slope)
    phase = 2 * np.pi * (start[:, None] * time + slope[:, None] * time**2 / 2)
    sound = np.sin(phase + rng.uniform(0, 2 * np.pi, (len(label), 1))) * rng.uniform(0.3, 1, (len(label), 1))
    sound += rng.normal(scale=0.2, size=sound.shape)
    every = Batch(sound.astype(np.float32), label.astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_linen(
    "zoo_audio",
    Audio(),
    "softmax_cross_entropy_with_integer_labels",
    data=Spec("b", SAMPLES),
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    training=Training(epochs=3, epochs_after=1, batch_size=64),
)
