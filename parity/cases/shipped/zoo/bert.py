"""For users of text encoders in Haiku: padding masks of bool, masked tokens, LayerNorm after each part, dropout."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity import Batch, Dataset, Spec, Training, from_haiku

VOCABULARY, LENGTH, WIDTH, HEADS, BLOCKS, EXAMPLES, TEST = 16, 14, 32, 4, 2, 768, 96
MASK = VOCABULARY - 1


def model(tokens: Any, present: Any, is_training: bool) -> Any:
    """Return the logits of the tokens, [b, 14, 16].

    Args:
        tokens: [b, 14] int32; 15 stands for one that is to be found.
        present: [b, 14] bool, false for padding.
        is_training: whether dropout is on.
    """

    def norm(x: Any) -> Any:
        return hk.LayerNorm(-1, True, True)(x)

    def dropped(x: Any) -> Any:
        return hk.dropout(hk.next_rng_key(), 0.05, x) if is_training else x

    embedding = hk.Embed(VOCABULARY, WIDTH)
    position = hk.get_parameter("position", [LENGTH, WIDTH], init=hk.initializers.RandomNormal(0.5))
    x = norm(embedding(tokens) + position)
    mask = present[:, None, None, :] & present[:, None, :, None]
    for _ in range(BLOCKS):
        attention = hk.MultiHeadAttention(
            HEADS, WIDTH // HEADS, model_size=WIDTH, w_init=hk.initializers.VarianceScaling(1.0), with_bias=False
        )
        x = norm(x + dropped(attention(x, x, x, mask)))
        x = norm(x + dropped(hk.Linear(WIDTH)(jax.nn.gelu(hk.Linear(2 * WIDTH)(x), approximate=True))))
    bias = hk.get_parameter("bias", [VOCABULARY], init=jnp.zeros)
    return norm(jax.nn.gelu(hk.Linear(WIDTH)(x), approximate=True)) @ embedding.embeddings.T + bias


def masked(logits: Any, labels: Any) -> Any:
    """Return the mean loss of the tokens that are to be found."""
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels["token"])
    return (each * labels["weight"]).sum() / jnp.maximum(labels["weight"].sum(), 1)


def dataset() -> Dataset:
    """Make texts that repeat two or three words, of 8 to 14 tokens; three of them are to be found."""
    rng = np.random.default_rng(10)
    count = EXAMPLES + TEST
    word, period = rng.integers(1, MASK, (count, 3)), rng.integers(2, 4, (count, 1))
    token = np.take_along_axis(word, np.arange(LENGTH) % period, 1)
    present = np.arange(LENGTH) < rng.integers(8, LENGTH + 1, (count, 1))
    chosen = rng.permuted(np.broadcast_to(np.arange(8) < 3, (count, 8)), axis=1)
    hidden = np.pad(chosen, ((0, 0), (0, LENGTH - 8)))
    tokens = np.where(hidden, MASK, token * present)
    data = {"tokens": tokens.astype(np.int32), "present": present}
    every = Batch(data, {"token": (token * present).astype(np.int32), "weight": hidden.astype(np.float32)})
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_haiku(
    "zoo_bert",
    model,
    masked,
    data={"tokens": Spec("b", LENGTH, dtype="int32"), "present": Spec("b", LENGTH, dtype="bool")},
    labels={"token": Spec("b", LENGTH, dtype="int32"), "weight": Spec("b", LENGTH)},
    dataset=dataset,
    training=Training(epochs=3, epochs_after=1, batch_size=64, learning_rate=0.005),
)
