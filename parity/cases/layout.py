"""Which outputs of `predict` carry the batch, found by tracing it at two batch sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jax import export

from parity.cases import symbols
from parity.cases.case import Case
from parity.cases.specs import BATCH, Specs, by_name, dtype_of, like, outputs
from parity.cases.training import begin

ROWS, FIXED, WHOLE, OTHER = "rows", "fixed", "whole", "other"


@dataclass(frozen=True)
class Output:
    """How an output follows the batch.

    Attributes:
        kind: `ROWS`: a row per example; `FIXED`: no example has a part in it, such as a table; `WHOLE`: of one shape,
            computed from all examples, such as a mean; `OTHER`: its shape follows the batch size in another way.
        axis: that of the rows; 0 for the other kinds.
    """

    kind: str
    axis: int = 0


def of_outputs(case: Case, sizes: Mapping[str, int]) -> dict[str, Output]:
    """Return how each output of `predict` follows the batch, by leaf name.

    Args:
        case: the case, with flat inputs.
        sizes: of the names in its specs, such as those of its examples; the batch size does not count.

    Raises:
        Exception: what `predict` raises.
    """
    others = {name: size for name, size in sizes.items() if name != BATCH}
    allowed = symbols.batch_sizes(case.constraints, others)
    pair = [size for size, _ in zip(allowed, range(2), strict=False)]
    state = abstract_state(case)
    answers = [traced(case, state, {**others, BATCH: size}) for size in pair]
    first, second = answers[0], answers[-1]
    found = {leaf: _followed(first[leaf].shape, second[leaf].shape, pair) for leaf in first}
    fixed = [leaf for leaf, output in found.items() if output.kind == FIXED]
    if fixed and _reads_data(case, state, {**others, BATCH: pair[0]}, fixed):  # one by one only where it is needed
        found |= {leaf: Output(WHOLE) for leaf in fixed if _reads_data(case, state, {**others, BATCH: pair[0]}, [leaf])}
    return found


def abstract_state(case: Case) -> tuple[Any, Any]:
    """Return shapes and dtypes of (params, other_state), computed only where `init` cannot be traced."""
    try:
        params, other = jax.eval_shape(case.init, jax.random.PRNGKey(case.training.seed))
    except Exception:
        state = begin(case)
        params, other = jax.eval_shape(lambda tree: tree, (state.params, state.other))
    return params, other


def abstract(specs: Specs, sizes: Mapping[str, Any]) -> Any:
    """Return shapes and dtypes of arrays that fill `specs`; sizes may be symbolic."""
    named = {n: jax.ShapeDtypeStruct(s.sized(sizes), dtype_of(s.dtype)) for n, s in by_name(specs).items()}
    return like(specs, named)


def traced(case: Case, state: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return shape and dtype of each output at those sizes."""
    found: dict[str, Any] = jax.eval_shape(lambda s, x: outputs(case.predict(s, x)), state, abstract(case.data, sizes))
    return found


def _followed(one: tuple[int, ...], two: tuple[int, ...], batch: list[int]) -> Output:
    """Return how a shape follows the batch size, from its values at two of them."""
    if len(one) != len(two):
        return Output(OTHER)
    moved = [axis for axis, pair in enumerate(zip(one, two, strict=True)) if pair[0] != pair[1]]
    if not moved:
        return Output(FIXED)
    rows = [axis for axis in moved if [one[axis], two[axis]] == batch]
    return Output(ROWS, rows[0]) if rows == moved and len(rows) == 1 else Output(OTHER)


def _reads_data(case: Case, state: Any, sizes: Mapping[str, int], leaves: list[str]) -> bool:
    """Return whether the program of some outputs alone needs the inputs of the case."""

    def some(state: Any, data: Any) -> Any:
        found = outputs(case.predict(state, data))
        return {leaf: found[leaf] for leaf in leaves}

    used = export.export(jax.jit(some))(state, abstract(case.data, sizes)).module_kept_var_idx
    return any(index >= len(jax.tree_util.tree_leaves(state)) for index in used)
