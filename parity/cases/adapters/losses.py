"""Losses by their names in optax, and the accuracy that follows from some of them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from parity.cases.specs import Spec
from parity.core.errors import CaseError

Loss = Callable[[Any, Any], Any]
INTEGER_LABELS = ("softmax_cross_entropy_with_integer_labels", "multiclass_hinge_loss", "multiclass_perceptron_loss")
ONE_HOT_LABELS = ("softmax_cross_entropy", "safe_softmax_cross_entropy", "poly_loss_cross_entropy")


def loss_of(owner: str, loss: str | Loss) -> Loss:
    """Return `function(outputs, labels) -> scalar`: the mean of `loss`, by its name in optax or a function.

    Raises:
        CaseError: optax has no such loss of outputs and labels, or `loss` is neither a name nor a function. The
            function that is returned raises it where `loss` returns something else than an array.
    """
    function = _named(owner, loss) if isinstance(loss, str) else loss
    if not callable(function):
        raise CaseError(f"{owner}: the loss is {loss!r}, expected the name of a loss of optax, or a function.")

    def mean(outputs: Any, labels: Any) -> Any:
        found = function(outputs, labels)
        if not hasattr(found, "shape") and not isinstance(found, float):
            raise CaseError(
                f"{owner}: the loss returns a {type(found).__name__}, expected one array: a scalar, or a loss for "
                "each example."
            )
        return jnp.mean(found)

    return mean


def _named(owner: str, name: str) -> Loss:
    import optax

    allowed = sorted(n for n, f in vars(getattr(optax, "losses", optax)).items() if _is_loss(f))
    if name in allowed:
        function: Loss = getattr(getattr(optax, "losses", optax), name)
        return function
    near = difflib.get_close_matches(name, allowed, 3, 0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    raise CaseError(
        f"{owner}: optax has no loss {name!r} of outputs and labels. {meant}Expected a function, or one of "
        f"{', '.join(allowed)}."
    )


def _is_loss(function: Any) -> bool:
    """Return whether a function of optax takes outputs and labels, and needs nothing else."""
    if not inspect.isfunction(function):
        return False
    names = list(inspect.signature(function).parameters)
    needed = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty]
    return len(names) > 1 and names[0] != "labels" and names[1].endswith(("labels", "targets")) and len(needed) < 3


def mean_of(hits: Any) -> Any:
    """Return the mean of truth values, numbers, or one number, as a float32 scalar."""
    return jnp.mean(jnp.asarray(hits, jnp.float32))


def accuracy_of(loss: str | Loss, labels: Any, outputs: Any, served: Any) -> Loss | None:
    """Return `function(outputs, labels) -> hits` where it follows from the loss, else None.

    It follows where a named loss takes one integer or one one-hot row per example, and `predict` answers with one array
    of scores [b, classes].

    Args:
        loss: as the user gave it.
        labels: the specs of the labels.
        outputs: the shapes of what the model returns.
        served: the shapes of what `predict` answers.
    """
    if not isinstance(loss, str) or not isinstance(labels, Spec) or not _is_scores(outputs) or not _is_scores(served):
        return None
    if outputs.shape[1] < 2 or outputs.shape[1] != served.shape[1]:
        return None
    if loss in INTEGER_LABELS and len(labels.shape) == 1:
        return lambda scores, label: scores.argmax(-1) == label
    if loss in ONE_HOT_LABELS and len(labels.shape) == 2:
        return lambda scores, label: scores.argmax(-1) == label.argmax(-1)
    return None


def _is_scores(leaf: Any) -> bool:
    return (
        not isinstance(leaf, Mapping)
        and len(getattr(leaf, "shape", ())) == 2
        and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)
    )
