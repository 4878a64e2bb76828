"""A case's trunk and a dense head, trained together in JAX alone: what fusion is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from parity.cases.case import Case, Dataset, State
from parity.cases.functions import leaf_name, named
from parity.cases.specs import BATCH, Answer, Array, Batch, Spec, by_name, shown
from parity.core.errors import CaseError

RATE, MOMENTUM = 0.01, 0.9
"""Of stochastic gradient descent, which Optax and Keras define alike; Keras stores -RATE times Optax's moment."""
OPTIMIZER = optax.sgd(RATE, MOMENTUM)


class Fused(NamedTuple):
    """The state of the fused training.

    `params` are {"trunk": arrays by leaf, "head": {"kernel": [d, classes] float32, "bias": [classes] float32}}.
    """

    params: Any
    other: Any
    moments: Any
    rng: Any


@dataclass(frozen=True)
class Trunk:
    """A case's trunk as a function of those parameters alone that it reads.

    Attributes:
        case: whose trunk it is.
        state: `params` are arrays by leaf name.
        width: of the features.
        classes: of the labels.
    """

    case: Case
    state: State
    width: int
    classes: int
    _all: Any

    def features(self, params: Any, other: Any, rng: Any, data: Any, train: bool) -> tuple[Any, Any]:
        """Return the features, [b, width], and the new other state."""

        def leaf(path: Any, array: Array) -> Any:
            return params.get(leaf_name(path), array)

        function: Any = self.case.trunk
        features, updated = function(jax.tree_util.tree_map_with_path(leaf, self._all), other, rng, data, train)
        return features, updated

    def begin(self) -> Fused:
        """Return the state before the first step: the trunk as trained, the head new."""
        kernel = jax.nn.initializers.lecun_normal()(jax.random.PRNGKey(0), (self.width, self.classes))
        params = {
            "trunk": self.state.params,
            "head": {"kernel": np.asarray(kernel), "bias": np.zeros(self.classes, np.float32)},
        }
        moments = jax.tree_util.tree_map(np.asarray, OPTIMIZER.init(params))
        return Fused(params, self.state.other, moments, self.state.rng)

    def logits(self, params: Any, other: Any, rng: Any, data: Any, train: bool) -> tuple[Any, Any]:
        """Return the logits, [b, classes] float32, and the new other state."""
        features, updated = self.features(params["trunk"], other, rng, data, train)
        return features.astype(np.float32) @ params["head"]["kernel"] + params["head"]["bias"], updated

    def predict(self, fused: Fused, data: Any) -> Any:
        """Return the logits with running statistics, dropout off."""
        return self.logits(fused.params, fused.other, jax.random.split(fused.rng)[1], data, False)[0]

    def step(self, fused: Fused, data: Any, labels: Any) -> tuple[Any, Any, Fused]:
        """Take a training step; return the mean softmax cross-entropy, its gradient, and the state after it."""
        rng, drawn = jax.random.split(fused.rng)

        def loss(params: Any) -> tuple[Any, Any]:
            logits, other = self.logits(params, fused.other, drawn, data, True)
            return optax.softmax_cross_entropy(logits, labels).mean(), other

        (value, other), gradient = jax.value_and_grad(loss, has_aux=True)(fused.params)
        updates, moments = OPTIMIZER.update(gradient, fused.moments, fused.params)
        return value, gradient, Fused(optax.apply_updates(fused.params, updates), other, moments, rng)


def trunk(case: Case, state: State, dataset: Dataset) -> Trunk:
    """Return the trunk of `case` in `state`.

    Raises:
        CaseError: it has none, its features are not one float array [b, d], it changes the structure of the other
            state, or the labels are not one-hot.
    """
    if case.trunk is None:
        raise CaseError(
            f"case {case.name!r} has no trunk to fuse with. Give trunk=..., the network up to its last layer."
        )
    if late := [name for name, spec in by_name(case.data).items() if spec.axis() != 0]:
        raise CaseError(
            f"case {case.name!r}: the batch is not the first dimension of input {late[0]!r}, as Keras has it. Leave "
            "trunk=... out, or put the batch first."
        )
    classes = _classes(case, dataset)
    data = dataset.test.take(1).data
    shapes = [_features(case, state, data, train) for train in (False, True)]
    if shapes[0] != shapes[1]:
        otherwise, training = map(shown, shapes)
        raise CaseError(f"case {case.name!r}: the features are {training} in training and {otherwise} otherwise.")
    read = _read(case, state, data)
    if not read:
        raise CaseError(f"case {case.name!r}: the trunk reads no parameter, so there is nothing to train in it.")
    return Trunk(case, State(read, state.other, state.rng), shapes[0].shape[1], classes, state.params)


def _classes(case: Case, dataset: Dataset) -> int:
    spec = case.labels
    named = isinstance(spec, Spec) and len(spec.shape) == 2
    labels = [part.labels for part in (dataset.train, dataset.test)] if named else []
    if not named or not all(((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all() for rows in labels):
        found = ", ".join(str(s) for s in by_name(spec).values()) if not named else f"{spec}, with rows that are not"
        raise CaseError(
            f"case {case.name!r}: the labels are {found}; a head is trained on one-hot ones, [{BATCH}, classes]. "
            "Encode them, or leave trunk=... out."
        )
    return int(labels[0].shape[1])


def _features(case: Case, state: State, data: Any, train: bool) -> Any:
    """Return the shape and dtype of the features of one example."""
    function: Any = case.trunk
    try:
        out = jax.eval_shape(lambda *a: function(*a, train), *state, data)
    except Exception as error:
        raise CaseError(f"case {case.name!r}: trunk raised {type(error).__name__}: {error}") from error
    if not isinstance(out, tuple) or len(out) != 2:
        raise CaseError(
            f"case {case.name!r}: trunk must return (features, new_other_state), it returns {type(out).__name__}."
        )
    features, other = out
    shape, dtype = getattr(features, "shape", None), getattr(features, "dtype", None)
    if shape is None or len(shape) != 2 or shape[0] != 1 or not jax.numpy.issubdtype(dtype, jax.numpy.floating):
        raise CaseError(
            f"case {case.name!r}: the trunk's features are {shown(features)} for one example, expected one float array "
            "[1, d]. Flatten them."
        )
    before, after = (jax.tree_util.tree_structure(tree) for tree in (state.other, other))
    if before != after:
        raise CaseError(f"case {case.name!r}: trunk turns other_state {before} into {after}.")
    return features


def _read(case: Case, state: State, data: Any) -> Answer:
    """Return the parameters that the trunk reads, by leaf name."""
    function: Any = case.trunk
    found: Answer = {}
    for train in (False, True):
        program = jax.make_jaxpr(lambda p, t=train: function(p, state.other, state.rng, data, t))(state.params).jaxpr
        used = {id(v) for equation in program.eqns for v in equation.invars} | {id(v) for v in program.outvars}
        leaves = jax.tree_util.tree_flatten_with_path(state.params)[0]
        found |= {leaf_name(p): a for (p, a), v in zip(leaves, program.invars, strict=True) if id(v) in used}
    return found


def trajectory(step: Callable[..., Any], predict: Callable[..., Any], fused: Fused, batches: Iterable[Batch]) -> Answer:
    """Take a step for every batch, then predict the last one; return everything computed, by leaf.

    The mean loss and the last state, which `model.fit` must reach, are repeated under `fit`.

    Args:
        step: `Trunk.step`, as compiled.
        predict: `Trunk.predict`, as compiled.
        fused: the state to begin from.
        batches: at least one.
    """
    found: dict[str, Any] = {}
    for number, batch in enumerate(batches, 1):
        loss, gradient, fused = step(fused, batch.data, batch.labels)
        found |= {f"step_{number}/{leaf}": a for leaf, a in {"loss": loss, **named(gradient, "gradient/")}.items()}
        found |= {f"step_{number}/{leaf}": a for leaf, a in state_answer(fused).items()}
    found["predict/logits"] = predict(fused, batch.data)
    found |= {f"predict/{leaf}": a for leaf, a in state_answer(fused).items() if not leaf.startswith("parameters/")}
    found |= {f"fit/{leaf}": a for leaf, a in state_answer(fused).items()}
    found["fit/loss"] = np.mean([found[f"step_{n + 1}/loss"] for n in range(number)])
    return {leaf: np.asarray(array) for leaf, array in found.items()}


def state_answer(fused: Fused) -> dict[str, Any]:
    """Return parameters, other state and key by leaf."""
    return {"key": fused.rng, **named(fused.params, "parameters/"), **named(fused.other, "batch_stats/")}
