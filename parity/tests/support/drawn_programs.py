"""Cases of programs that nobody here has chosen: drawn from the harnesses with which JAX tests its own primitives."""

import random
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np

from parity import Batch, Case, Dataset, Spec, Training
from parity.core.errors import InputError

EXAMPLES = 13


def draw(harnesses, count, seed):
    """Harnesses of as many primitives, in float32 where there are such, that take arrays which a case can have."""
    groups, chosen = defaultdict(list), random.Random(seed)
    for harness in harnesses:
        if harness.filter("cpu"):
            groups[harness.group_name].append(harness)
    found = []
    for name in chosen.sample(sorted(groups), len(groups)):
        usual = [harness for harness in groups[name] if harness.dtype == np.float32]
        tried = chosen.choices(usual or groups[name], k=3)
        found += [harness for harness in tried if _arrays(harness, 0) and _specs(harness)][:1]
    return found[:count]


def case(harness):
    """Serve the program for every example alone; a weight is multiplied into its floats."""

    def predict(state, data):
        scaled = [_scaled(data[name], state[0]["weight"]) for name in sorted(data)]
        outputs = jax.vmap(lambda *arrays: _call(harness, arrays))(*scaled)
        return {f"out{i}": output for i, output in enumerate(jax.tree_util.tree_leaves(outputs))}

    def dataset():
        each = [_arrays(harness, seed) for seed in range(EXAMPLES)]
        batch = Batch({name: np.stack([one[name] for one in each]) for name in each[0]}, None)
        return Dataset(batch, batch)

    return Case(
        name="drawn",
        init=lambda key: ({"weight": jnp.ones(())}, {}),
        loss=None,
        predict=predict,
        data=_specs(harness),
        labels=None,
        dataset=dataset,
        training=Training(epochs=0, batch_size=EXAMPLES),
        probes=("predict",),
    )


def _is_array(value):
    return isinstance(value, np.ndarray | np.generic | jax.Array)


def _arrays(harness, seed):
    drawn = harness.dyn_args_maker(np.random.RandomState(seed))
    arrays = [np.asarray(value) for value in drawn if _is_array(value)]
    finite = [np.nan_to_num(a) if jnp.issubdtype(a.dtype, jnp.inexact) else a for a in arrays]
    return {f"in{i:02}": array for i, array in enumerate(finite)}


def _specs(harness):
    try:
        return {n: Spec("b", *a.shape, dtype=a.dtype.name) for n, a in _arrays(harness, 0).items()}
    except InputError:
        return None


def _scaled(array, weight):
    return array * weight.astype(array.dtype) if jnp.issubdtype(array.dtype, jnp.inexact) else array


def _call(harness, arrays):
    given = iter(arrays)
    drawn = harness.dyn_args_maker(np.random.RandomState(0))
    return harness.dyn_fun(*(next(given) if _is_array(value) else value for value in drawn))
