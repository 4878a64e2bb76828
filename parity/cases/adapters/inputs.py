"""The inputs that a model is made and traced with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from parity.cases.functions import leaf_name
from parity.cases.specs import BATCH, Spec, dtype_of

EXAMPLES = 2


class Inputs:
    """The inputs of a case.

    Args:
        specs: a pytree of `Spec`s.
        dataset: that of the case; called only where the specs have sizes by name beside the batch size, which only the
            examples tell.
    """

    def __init__(self, specs: Any, dataset: Callable[[], Any]) -> None:
        self.specs = specs
        self._dataset = dataset

    def __str__(self) -> str:
        """Return the specs for a message, such as `float32[b, 4]` or `{user: int32[b], context: float32[b, 4]}`."""
        if isinstance(self.specs, Spec):
            return str(self.specs)
        leaves = jax.tree_util.tree_flatten_with_path(self.specs, is_leaf=_is_spec)[0]
        return "{" + ", ".join(f"{leaf_name(path)}: {spec}" for path, spec in leaves) + "}"

    @functools.cached_property
    def shapes(self) -> Any:
        """The shapes and dtypes of arrays that fill the specs: two examples, or all that test."""
        named = {size for spec in self._leaves() for size in spec.shape if isinstance(size, str)}
        if named - {BATCH}:
            arrays = self._dataset().test.data
            return jax.tree_util.tree_map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arrays)

        def shape(spec: Spec) -> Any:
            sizes = tuple(size if isinstance(size, int) else EXAMPLES for size in spec.shape)
            return jax.ShapeDtypeStruct(sizes, dtype_of(spec.dtype))

        return jax.tree_util.tree_map(shape, self.specs, is_leaf=_is_spec)

    def zeros(self) -> Any:
        """Return arrays of zeros of these shapes."""
        return jax.tree_util.tree_map(lambda shape: jax.numpy.zeros(shape.shape, shape.dtype), self.shapes)

    @property
    def axes(self) -> Any:
        """The axis of the batch in every array, or None where it has none: `in_axes` of `jax.vmap`."""
        return jax.tree_util.tree_map(_batch_axis, self.specs, is_leaf=_is_spec)

    def examples(self, data: Any) -> Any:
        """Return how many examples `data` has: a number, or a symbol while a case is exported."""
        pairs = zip(self._leaves(), jax.tree_util.tree_leaves(data), strict=True)
        return next(array.shape[axis] for spec, array in pairs if (axis := _batch_axis(spec)) is not None)

    def _leaves(self) -> list[Spec]:
        return jax.tree_util.tree_leaves(self.specs, is_leaf=_is_spec)


def _is_spec(found: Any) -> bool:
    return isinstance(found, Spec)


def _batch_axis(spec: Spec) -> int | None:
    return spec.shape.index(BATCH) if BATCH in spec.shape else None
