"""Which probes of a case have answers without a float, found before anything is computed."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from parity.cases.case import Case
from parity.cases.specs import Spec, dtype_of, outputs
from parity.cases.training import begin


def discrete_probes(case: Case) -> frozenset[str]:
    """Return those of `predict` and `batch_stats` whose answers have no float: integers, truth values, or nothing.

    Nothing is computed but, where `init` cannot be traced, the initial state. Empty where the case cannot be used,
    which its tests then say.
    """
    data = jax.tree_util.tree_map(
        lambda spec: jax.ShapeDtypeStruct((2, *spec.shape[1:]), dtype_of(spec.dtype)), case.data,
        is_leaf=lambda found: isinstance(found, Spec),
    )  # fmt: skip

    def predicted(state: Any, data: Any) -> Any:
        params, other = state
        return {"predict": outputs(case.predict((params, other), data)), "batch_stats": other}

    key = jax.ShapeDtypeStruct((2,), np.uint32)
    try:
        try:
            found = jax.eval_shape(lambda key, x: predicted(case.init(key), x), key, data)
        except Exception:
            state = begin(case)
            found = jax.eval_shape(predicted, (state.params, state.other), data)
    except Exception:
        return frozenset()
    leaves = {probe: jax.tree_util.tree_leaves(tree) for probe, tree in found.items() if probe in case.probes}
    return frozenset(
        probe
        for probe, answer in leaves.items()
        if not any(jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact) for leaf in answer)
    )
