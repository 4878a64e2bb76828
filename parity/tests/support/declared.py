"""Small parameters, gradients of every magnitude, and the states of declared optimizers."""

import jax
import numpy as np
import optax

from parity.cases import training

EPOCH, STEPS, MORE = 16, 30, 5
EPS = float(np.finfo(np.float32).eps)


def named(tree):
    return {training.leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def parameters(dtype=np.float32):
    rng = np.random.RandomState(0)
    tree = {"Dense_0": {"kernel": rng.normal(size=(6, 7)), "bias": rng.normal(size=7)}, "mu": rng.normal(size=3)}
    return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, dtype), tree)


def gradients(params):
    """Of every magnitude from 1e-8 up, so that epsilon is small beside some and large beside others."""
    rng = np.random.RandomState(1)

    def one(leaf):
        return np.asarray(10 ** rng.uniform(-8, 0, leaf.shape) * rng.choice([-1, 1], leaf.shape), leaf.dtype)

    return [jax.tree_util.tree_map(one, params) for _ in range(MORE)]


def state_at(optimizer, params, steps):
    """A state as if `steps` gradients had been seen: no moment is zero, nor like another."""
    rng = np.random.RandomState(2)

    def one(path, leaf):
        if np.issubdtype(leaf.dtype, np.integer):
            return np.full(leaf.shape, steps, leaf.dtype)
        scale = 10 ** rng.uniform(-8, 0, leaf.shape)
        squared = "nu" in training.leaf_name(path).split("/")
        return (1e-2 * scale**2 if squared else scale * rng.choice([-1, 1], leaf.shape)).astype(leaf.dtype)

    flat, tree = jax.tree_util.tree_flatten_with_path(optimizer.init(params))
    return jax.tree_util.tree_unflatten(tree, [one(*each) for each in flat])


def declare(declared, dtype=np.float32):
    """Parameters, Optax's optimizer and its state."""
    params, optimizer = parameters(dtype), training.optimizer(declared, EPOCH)
    return params, optimizer, state_at(optimizer, params, STEPS)


def own(rate):
    return optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(rate))
