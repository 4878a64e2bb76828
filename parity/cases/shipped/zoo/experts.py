"""For users of mixtures of experts in Haiku: top_k chooses two of eight experts for each row, a loss balances them."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity import Batch, Dataset, Spec, Training, from_haiku

FEATURES, WIDTH, EXPERTS, CHOSEN, CLASSES, EXAMPLES, TEST = 8, 24, 8, 2, 5, 1024, 96
UNIFORM = hk.initializers.VarianceScaling(1.0, "fan_in", "uniform")


def model(x: Any) -> Any:
    """Return {logits: [b, 5], router: [b, 8], chosen: [b, 8]}: the shares of experts, and whether one is chosen."""
    x = jax.nn.silu(hk.Linear(WIDTH)(x))
    router = jax.nn.softmax(hk.Linear(EXPERTS, with_bias=False)(x))
    gates, experts = jax.lax.top_k(router, CHOSEN)
    gates = gates / gates.sum(-1, keepdims=True)
    share = (gates[..., None] * jax.nn.one_hot(experts, EXPERTS)).sum(1)
    up = hk.get_parameter("up", [EXPERTS, WIDTH, 2 * WIDTH], init=UNIFORM)
    down = hk.get_parameter("down", [EXPERTS, 2 * WIDTH, WIDTH], init=UNIFORM)
    inside = jax.nn.silu(jnp.einsum("bi,eio->beo", x, up))
    x = x + jnp.einsum("beo,eoi,be->bi", inside, down, share)
    return {"logits": hk.Linear(CLASSES)(x), "router": router, "chosen": (share > 0).astype(jnp.float32)}


def balanced(outputs: Any, labels: Any) -> Any:
    """Return the cross-entropy, and what Switch Transformers add for experts that are chosen too often."""
    each = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels)
    balance = (outputs["chosen"].mean(0) * outputs["router"].mean(0)).sum() * EXPERTS / CHOSEN
    return each.mean() + 0.01 * balance


def dataset() -> Dataset:
    """Make points around eight centres; each centre has a linear rule of its own for the class."""
    rng = np.random.default_rng(12)
    centre, rule = 2 * rng.normal(size=(8, FEATURES)), rng.normal(size=(8, FEATURES, CLASSES))
    kind = rng.integers(0, 8, EXAMPLES + TEST)
    offset = rng.normal(size=(len(kind), FEATURES))
    label = np.einsum("bi,bic->bc", offset, rule[kind]).argmax(-1)
    every = Batch((centre[kind] + offset).astype(np.float32), label.astype(np.int32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_haiku(
    "zoo_experts",
    model,
    balanced,
    data=Spec("b", FEATURES),
    labels=Spec("b", dtype="int32"),
    dataset=dataset,
    accuracy=lambda outputs, labels: outputs["logits"].argmax(-1) == labels,
    served=lambda outputs: outputs["logits"],
    training=Training(epochs=4, epochs_after=1, batch_size=64),
)
