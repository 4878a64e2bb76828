"""Typed PRNG keys in the state of a case, kept as their data, because files and variables hold arrays of numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.cases.case import Case

Function = Callable[..., Any]


def as_data(case: Case) -> Case:
    """Return `case` with functions that take and return the data, uint32, of the typed keys in its other state.

    The functions of `case` itself see typed keys, as `jax.random.key` makes them. A case without typed keys computes
    what it computed.
    """
    data = _KeyData(case)
    return replace(
        case,
        init=data.init(),
        loss=case.loss and data.of_step(case.loss),
        predict=data.of_state(case.predict),
        accuracy=case.accuracy and data.of_state(case.accuracy),
        trunk=case.trunk and data.of_step(case.trunk),
    )


class _KeyData:
    def __init__(self, case: Case) -> None:
        self._case = case

    @functools.cached_property
    def _implementations(self) -> dict[int, Any]:
        """The implementation of each typed key, by its place among the leaves of the other state."""
        import jax

        found: dict[int, Any] = {}

        def traced(key: Any) -> int:
            for place, leaf in enumerate(jax.tree_util.tree_leaves(self._case.init(key)[1])):
                if is_typed_key(leaf):
                    found[place] = jax.random.key_impl(leaf)
            return 0

        key = jax.random.PRNGKey(self._case.training.seed)
        try:
            jax.eval_shape(traced, key)
        except Exception:  # what cannot be traced, such as numpy's draws from a seed made of the key
            traced(key)
        return found

    def init(self) -> Function:
        def wrapped(key: Any) -> Any:
            found = self._case.init(key)
            return (found[0], _to_data(found[1])) if _is_pair(found) else found

        return functools.wraps(self._case.init)(wrapped)

    def of_step(self, function: Function) -> Function:
        """Wrap `function(params, other_state, ...) -> (value, new_other_state)`."""

        def wrapped(params: Any, other: Any, *arguments: Any, **named: Any) -> Any:
            found = function(params, self._to_keys(other), *arguments, **named)
            return (found[0], _to_data(found[1])) if _is_pair(found) else found

        return functools.wraps(function)(wrapped)

    def of_state(self, function: Function) -> Function:
        """Wrap `function((params, other_state), ...)`."""

        def wrapped(state: Any, *arguments: Any, **named: Any) -> Any:
            return function((state[0], self._to_keys(state[1])), *arguments, **named)

        return functools.wraps(function)(wrapped)

    def _to_keys(self, other: Any) -> Any:
        import jax

        leaves, structure = jax.tree_util.tree_flatten(other)
        if not leaves or not self._implementations:
            return other
        for place, implementation in self._implementations.items():
            leaves[place] = jax.random.wrap_key_data(leaves[place], impl=implementation)
        return jax.tree_util.tree_unflatten(structure, leaves)


def _is_pair(found: Any) -> bool:
    return isinstance(found, tuple | list) and len(found) == 2


def is_typed_key(leaf: Any) -> bool:
    """Return whether a leaf is an array of typed PRNG keys."""
    import jax

    return hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_data(tree: Any) -> Any:
    import jax

    return jax.tree_util.tree_map(lambda leaf: jax.random.key_data(leaf) if is_typed_key(leaf) else leaf, tree)
