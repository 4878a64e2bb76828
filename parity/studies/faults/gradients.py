"""Faults in gradients whose loss is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import tensorflow as tf
from flax.linen import normalization

from parity.cases.functions import leaf_name
from parity.studies.faults import Fault
from parity.studies.faults.bench import Bench
from parity.studies.faults.plants import LOSSES, ONE_SIZE, function, grouped, inside, loss, with_cotangent

KERNEL = "Conv_0/kernel"
TESTS = ("eval_loss", "train_loss", "eval_gradient", "train_gradient", "batch_stats")


def _flowing(change: Any, *leaves: str) -> Any:
    """`change` applied to the gradients of these leaves, or of all, on their way back."""

    def faulty(original: Any, params: Any, *arguments: Any) -> Any:
        def through(path: Any, value: Any) -> Any:
            return with_cotangent(change)(value) if not leaves or leaf_name(path) in leaves else value

        return original(jax.tree_util.tree_map_with_path(through, params), *arguments)

    return loss(faulty)


def _summed(original: Any, params: Any, other: Any, rng: Any, data: Any, *arguments: Any) -> Any:
    through = with_cotangent(lambda cotangent: cotangent * jnp.float32(data.shape[0]))
    return original(jax.tree_util.tree_map(through, params), other, rng, data, *arguments)


def _swapped(original: Any, params: Any, *arguments: Any) -> Any:
    @jax.custom_vjp
    def crossed(one: Any, other: Any) -> Any:
        return one, other

    crossed.defvjp(lambda one, other: ((one, other), None), lambda _, cotangents: cotangents[::-1])
    dense, norm = crossed(params["Dense_0"]["bias"], params["BatchNorm_1"]["bias"])
    changed = {"Dense_0": {**params["Dense_0"], "bias": dense}, "BatchNorm_1": {"bias": norm}}
    return original({**params, **changed}, *arguments)


def _disconnected(bench: Bench) -> Any:
    """One leaf reaches the program as a value, so that TensorFlow finds no path to its variable."""
    exported = bench.exported(bench.case, LOSSES)
    [index] = [i for i, s in enumerate(bench.signature.state) if s.leaf == KERNEL]

    def trees() -> Any:
        leaves = [tf.stop_gradient(v) if i == index else v for i, v in enumerate(exported.state_vars)]
        return jax.tree_util.tree_unflatten(exported._tree, leaves)

    exported._trees = trees
    return bench.replaced({name: getattr(exported, name) for name in LOSSES})


def _stopped(original: Any) -> Any:
    return lambda *args, **kwargs: jax.lax.stop_gradient(original(*args, **kwargs))


def _statistics_trainable(bench: Bench) -> Any:
    """Mark the statistics as trainable in the artifact's signature."""
    state = tuple(replace(s, trainable=True) for s in bench.signature.state)
    return bench.signed(replace(bench.signature, state=state))


FAULTS = grouped(
    "gradients",
    Fault("one leaf missing", "Exported._trees", _disconnected, TESTS, quick=True),
    Fault("one leaf zero", KERNEL, _flowing(jnp.zeros_like, KERNEL), TESTS),
    Fault("one leaf of the opposite sign", KERNEL, _flowing(jnp.negative, KERNEL), TESTS),
    Fault("one leaf off by 1 %", KERNEL, _flowing(lambda g: 1.01 * g, KERNEL), TESTS),
    Fault("all leaves off by 1e-4 relative", "jax.grad", _flowing(lambda g: (1 + 1e-4) * g), TESTS),
    Fault("all leaves rounded to bfloat16", "jax.grad", _flowing(lambda g: jax.lax.reduce_precision(g, 8, 7)), TESTS),
    Fault("clipped at 0.001", "jax.grad", _flowing(lambda g: jnp.clip(g, -1e-3, 1e-3)), TESTS),
    Fault("two leaves of equal shape swapped", "Dense_0/bias, BatchNorm_1/bias", loss(_swapped), TESTS),
    Fault("summed over the batch", "jax.grad", loss(_summed), TESTS),
    Fault(
        "stopped at the batch's statistics", "flax.linen.BatchNorm",
        inside(function(normalization, "_compute_stats", _stopped), "train_loss"), TESTS,
    ),
    Fault(
        "statistics take part in the update", "Signature.state", _statistics_trainable, TESTS,
    ),
    sizes=ONE_SIZE,
)  # fmt: skip
