"""For users of sequence models in Equinox: LSTM cells stepped by `jax.lax.scan`, and differentiated through it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Dataset, Spec, Training, from_equinox

LENGTH, SENSORS, WIDTH, AHEAD, EXAMPLES, TEST = 32, 3, 32, 4, 768, 96


class Forecaster(eqx.Module):
    """One series [32, 3] to its next 4 values, [4, 3]: two layers of LSTM."""

    cells: list
    dropout: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        first, second, head = jax.random.split(key, 3)
        self.cells = [eqx.nn.LSTMCell(SENSORS, WIDTH, key=first), eqx.nn.LSTMCell(WIDTH, WIDTH, key=second)]
        self.dropout = eqx.nn.Dropout(0.05)
        self.head = eqx.nn.Linear(WIDTH, AHEAD * SENSORS, key=head)

    def __call__(self, series: Any, key: Any) -> Any:
        """Return the forecast."""

        def step(states: Any, x: Any) -> tuple[Any, None]:
            after = []
            for cell, state in zip(self.cells, states, strict=True):
                after.append(cell(x, state))
                x = after[-1][0]
            return after, None

        nothing = [(jnp.zeros(WIDTH), jnp.zeros(WIDTH))] * len(self.cells)
        states, _ = jax.lax.scan(step, nothing, series)
        change = self.head(self.dropout(states[-1][0], key=key)).reshape(AHEAD, SENSORS)
        return series[-1] + change


def dataset() -> Dataset:
    """Make three damped waves each, of one frequency in three phases, with noise."""
    rng = np.random.default_rng(8)
    count = EXAMPLES + TEST
    frequency, damping = rng.uniform(0.2, 0.8, (count, 1, 1)), rng.uniform(0, 0.02, (count, 1, 1))
    time = np.arange(LENGTH + AHEAD)[:, None]
    waves = np.exp(-damping * time) * np.sin(frequency * time + rng.uniform(0, 6, (count, 1, SENSORS)))
    waves += rng.normal(scale=0.02, size=waves.shape)
    every = Batch(waves[:, :LENGTH].astype(np.float32), waves[:, LENGTH:].astype(np.float32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_equinox(
    "zoo_lstm",
    Forecaster,
    "huber_loss",
    data=Spec("b", LENGTH, SENSORS),
    labels=Spec("b", AHEAD, SENSORS),
    dataset=dataset,
    training=Training(epochs=3, epochs_after=1, batch_size=64),
)
