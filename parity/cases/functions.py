"""The evaluations of a case as pure JAX functions, and their results as named arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from parity.cases.case import Case, State
from parity.cases.specs import Answer, Batch, outputs


def pure_functions(case: Case) -> dict[str, Callable[..., Any]]:
    """Return the evaluations as pure functions of (params, other_state, rng, data, labels), by name.

    `predict` gives outputs by name, `accuracy` a scalar; `evaluate` and `train` give the loss, its gradient with
    respect to the parameters, the updated other state, and the key that is left. The gradient is empty where the case
    is not asked for it.
    """

    def predict(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
        return outputs(case.predict((params, other), data))

    def accuracy(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
        return case.accuracy((params, other), data, labels) if case.accuracy else None

    def differentiated(train: bool) -> Callable[..., Any]:
        def function(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
            kept, drawn = jax.random.split(rng)
            if not case.differentiated:
                loss, updated = case.loss(params, other, drawn, data, labels, train)
                return loss, {}, updated, kept
            differentiate = jax.value_and_grad(lambda p: case.loss(p, other, drawn, data, labels, train), has_aux=True)
            (loss, updated), gradient = differentiate(params)
            return loss, gradient, updated, kept

        return function

    return {
        "predict": predict,
        "accuracy": accuracy,
        "evaluate": differentiated(train=False),
        "train": differentiated(train=True),
    }


def answers(
    evaluation: str, function: Callable[..., Any], state: State, batch: Batch, calls: tuple[int, ...]
) -> dict[str, Answer]:
    """Return the answers of an evaluation by probe.

    Args:
        evaluation: a key of `pure_functions`.
        function: that function, compiled in any way.
        state: what it is called with.
        batch: likewise.
        calls: the numbers of the calls of `train`; each starts from the key and the other state of the one before.
    """
    data, labels = batch.data, batch.labels
    if evaluation == "predict":
        return {"predict": named(function(*state, data, labels))}
    if evaluation == "accuracy":
        return {"accuracy": {"accuracy": np.asarray(function(*state, data, labels))}}
    if evaluation == "evaluate":
        loss, gradient, _, _ = function(*state, data, labels)
        return {"eval_loss": {"loss": np.asarray(loss)}, "eval_gradient": named(gradient)}
    found: dict[str, Answer] = {"train_loss": {}, "train_gradient": {}, "batch_stats": {}, "rng": {}}
    for call in calls:
        loss, gradient, other, rng = function(*state, data, labels)
        state = State(state.params, other, rng)
        found["train_loss"][f"call_{call}/loss"] = np.asarray(loss)
        found["train_gradient"] |= named(gradient, f"call_{call}/")
        found["batch_stats"] |= named(other, f"call_{call}/")
        found["rng"][f"call_{call}/key"] = np.asarray(rng)
    return found


def named(tree: Any, prefix: str = "") -> Answer:
    """Return the leaves of a pytree as numpy arrays by leaf name."""
    return {prefix + leaf_name(path): np.asarray(a) for path, a in jax.tree_util.tree_flatten_with_path(tree)[0]}


def flatten(state: State) -> list[Any]:
    """Return a state as a flat list: parameters, other state, then the key."""
    return [*jax.tree_util.tree_leaves((state.params, state.other)), state.rng]


def unflatten(values: Any, like: State) -> State:
    """Return the state that `flatten` made `values` of; `like` has its structure."""
    *leaves, rng = values
    tree = jax.tree_util.tree_structure((like.params, like.other))
    params, other = jax.tree_util.tree_unflatten(tree, leaves)
    return State(params, other, rng)


def leaf_name(path: Any) -> str:
    """Return the name of a leaf of a pytree, such as `Conv_0/kernel`, from its key path."""
    names = (getattr(k, "key", getattr(k, "idx", getattr(k, "name", k))) for k in path)
    return "/".join(str(name) for name in names)
