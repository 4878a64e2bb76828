"""The gradient of a converted function under constraints.

jax2tf forgets the constraints where it converts the gradient (jax 0.4.30 to 0.12), and fails at the first comparison
that needs one. So the gradient is converted as a function of its own, and TensorFlow is told whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import tensorflow as tf

Convert = Callable[[Callable[..., Any], list[Any]], Callable[..., Any]]
"""Converts a JAX function for arguments of polymorphic shapes, without a gradient."""


def differentiable(
    function: Callable[..., Any], shapes: list[Any], results: Any, convert: Convert
) -> Callable[..., Any]:
    """Convert `function` with its gradient.

    Args:
        function: of pytrees of arrays.
        shapes: the polymorphic shapes of its arguments.
        results: those of its results with a gradient, a list; or `...` where they follow no size.
        convert: converts it, and its gradient.
    """
    forward, backward = convert(function, shapes), convert(_pullback(function), [*shapes, results])

    def call(*arguments: Any) -> Any:
        leaves, tree = jax.tree_util.tree_flatten(arguments)
        found: dict[str, Any] = {}

        @tf.custom_gradient
        def flat(*inputs: Any) -> Any:
            results, found["tree"] = jax.tree_util.tree_flatten(forward(*tree.unflatten(inputs)))

            def gradient(*cotangents: Any, variables: Any = None) -> list[Any]:
                moving = [c for c, result in zip(cotangents, results, strict=True) if _moves(result)]
                pulled = iter(backward(*tree.unflatten(inputs), moving))
                return [next(pulled) if _moves(value) else None for value in inputs]

            return tuple(results), gradient

        results = flat(*(tf.identity(tf.convert_to_tensor(leaf)) for leaf in leaves))
        return found["tree"].unflatten(results)

    return call


def _moves(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating or tensor.dtype.is_complex)


def _pullback(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the gradient of `function` in JAX: of its arguments and the cotangents of its floats, for its floats."""

    def pullback(*arguments: Any) -> list[Any]:
        *primal, cotangents = arguments
        leaves, tree = jax.tree_util.tree_flatten(tuple(primal))
        moves = [jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact) for leaf in leaves]

        def of_moving(moving: list[Any]) -> list[Any]:
            rest = iter(moving)
            every = [next(rest) if m else leaf for m, leaf in zip(moves, leaves, strict=True)]
            flat = jax.tree_util.tree_leaves(function(*tree.unflatten(every)))
            return [result for result in flat if jax.numpy.issubdtype(result.dtype, jax.numpy.inexact)]

        _, pull = jax.vjp(of_moving, [leaf for m, leaf in zip(moves, leaves, strict=True) if m])
        pulled: list[Any] = pull(cotangents)[0]
        return pulled

    return pullback
