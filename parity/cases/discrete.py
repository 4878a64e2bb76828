"""Which probes of a case have answers without a float, found before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from parity.cases.case import Case
from parity.cases.layout import abstract, abstract_state
from parity.cases.specs import outputs


def discrete_probes(case: Case, sizes: Mapping[str, int]) -> frozenset[str]:
    """Return those of `predict` and `batch_stats` whose answers have no float: integers, truth values, or nothing.

    Nothing is computed but, where `init` cannot be traced, the initial state. Empty where the case cannot be used,
    which its tests then say.

    Args:
        case: the case.
        sizes: of every name in its specs.
    """

    def predicted(state: Any, data: Any) -> Any:
        params, other = state
        return {"predict": outputs(case.predict((params, other), data)), "batch_stats": other}

    try:
        found = jax.eval_shape(predicted, abstract_state(case), abstract(case.data, sizes))
    except Exception:
        return frozenset()
    leaves = {probe: jax.tree_util.tree_leaves(tree) for probe, tree in found.items() if probe in case.probes}
    return frozenset(
        probe
        for probe, answer in leaves.items()
        if not any(jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact) for leaf in answer)
    )
