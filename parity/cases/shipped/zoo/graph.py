"""For users of graph networks in Haiku: messages gathered along edges and summed by segment, padding, graph readout."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Dataset, Spec, Training, from_haiku

NODES, EDGES, FEATURES, WIDTH, ROUNDS, EXAMPLES, TEST = 10, 24, 4, 24, 2, 768, 96


def model(nodes: Any, senders: Any, receivers: Any, edge_count: Any) -> Any:
    """Return one number for each graph, [b]. All graphs of a batch are one graph, as jraph has them.

    Args:
        nodes: [b, 10, 4] float32.
        senders: [b, 24] int32, the node that each edge starts from.
        receivers: [b, 24] int32, the node that it ends in.
        edge_count: [b] int32, how many edges there are; the others are padding.
    """
    graphs = nodes.shape[0]
    first = NODES * jnp.arange(graphs)[:, None]
    senders, receivers = (first + senders).reshape(-1), (first + receivers).reshape(-1)
    real = (jnp.arange(EDGES) < edge_count[:, None]).reshape(-1, 1).astype(jnp.float32)
    x = hk.Linear(WIDTH)(nodes.reshape(-1, FEATURES))
    degree = jax.ops.segment_sum(real, receivers, graphs * NODES)
    for _ in range(ROUNDS):
        messages = real * hk.nets.MLP([WIDTH, WIDTH])(jnp.concatenate([x[senders], x[receivers]], -1))
        total = jax.ops.segment_sum(messages, receivers, graphs * NODES)
        x = x + hk.nets.MLP([WIDTH, WIDTH])(jnp.concatenate([x, total, total / jnp.maximum(degree, 1)], -1))
    x = hk.LayerNorm(-1, True, True)(x)
    readout = jax.ops.segment_sum(x, jnp.repeat(jnp.arange(graphs), NODES), graphs)
    return hk.nets.MLP([WIDTH, 1])(readout / NODES)[:, 0]


def dataset() -> Dataset:
    """Make random graphs; the label is a sum over edges of products of features of their ends."""
    rng = np.random.default_rng(11)
    count = EXAMPLES + TEST
    nodes = rng.normal(size=(count, NODES, FEATURES))
    senders, receivers = rng.integers(0, NODES, (2, count, EDGES))
    edges = rng.integers(EDGES // 2, EDGES + 1, count)
    real = np.arange(EDGES) < edges[:, None]
    ends = [np.take_along_axis(nodes[..., 0], index, 1) for index in (senders, receivers)]
    label = (real * np.maximum(ends[0] + ends[1], 0)).sum(1) / 5 - 2
    index = {"senders": senders, "receivers": receivers, "edge_count": edges}
    data = {"nodes": nodes.astype(np.float32)} | {name: array.astype(np.int32) for name, array in index.items()}
    every = Batch(data, label.astype(np.float32))
    return Dataset(every.map(lambda array: array[:EXAMPLES]), every.map(lambda array: array[EXAMPLES:]))


case = from_haiku(
    "zoo_graph",
    model,
    "squared_error",
    data={
        "nodes": Spec("b", NODES, FEATURES),
        "senders": Spec("b", EDGES, dtype="int32"),
        "receivers": Spec("b", EDGES, dtype="int32"),
        "edge_count": Spec("b", dtype="int32"),
    },
    labels=Spec("b"),
    dataset=dataset,
    training=Training(epochs=3, epochs_after=1, batch_size=64),
)
