"""What a case and its optimizer must be, checked before anything is compiled; every failure is a `CaseError`."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import optax

from parity.cases import symbols
from parity.cases.case import Case, Dataset, State
from parity.cases.functions import leaf_name
from parity.cases.keys import is_typed_key
from parity.cases.libraries import adapter_of
from parity.cases.specs import BATCH, Batch, described, outputs, shown
from parity.core.errors import CaseError, ParityError
from parity.core.tracebacks import raised


def check_optimizer(optimizer: optax.GradientTransformation, params: Any) -> None:
    """Check, before the first step, that the optimizer can be traced and its state can be stored.

    Raises:
        CaseError: its state holds what is not an array of numbers, JAX cannot trace its update, or the update changes
            the state's structure, shapes or dtypes.
    """
    try:
        state = optimizer.init(params)
    except Exception as error:
        raise CaseError(f"optimizer: its init {raised(error)}. Expected one for the parameters of the case.") from error
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        # A typed key is a jax.Array, which no file and no variable can hold.
        kept = isinstance(leaf, (jax.Array, np.ndarray, np.generic)) and isinstance(leaf.dtype, np.dtype)
        if not kept or leaf.dtype == object:
            raise CaseError(
                f"optimizer: {leaf_name(path)} of its state is {leaf!r}, expected an array of numbers. "
                "Keep constants outside of the state, a count as jax.numpy.zeros([], 'int32'), and a key as "
                "jax.random.PRNGKey."
            )
    advice = "Write it in functions that JAX can trace: jax.numpy.where for an if on a step or a value."
    update = functools.partial(optax.with_extra_args_support(optimizer).update, value=np.float32(0), grad=params)
    updates, after = traced("optimizer: its update", advice, update, params, state, params)
    for what, old, new in (("updates", params, updates), ("state", state, after)):
        before, then = _layout(old), _layout(new)
        if what == "updates":  # a wider one is rounded to its parameter
            before, then = ({leaf: text[text.index("[") :] for leaf, text in tree.items()} for tree in (before, then))
        if before != then:
            leaf = sorted({name for name, _ in before.items() ^ then.items()})[0]
            raise CaseError(
                f"optimizer: its update makes {leaf} of the {what} {then.get(leaf)}, expected {before.get(leaf)} as "
                "before. Keep structure, shapes and dtypes."
            )


def _layout(tree: Any) -> dict[str, str]:
    return {leaf_name(path): shown(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def traced(called: str, advice: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the shapes and dtypes of what `function` returns.

    Raises:
        CaseError: JAX cannot trace it; the message ends with `advice`.
    """
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:
        reason = " ".join(str(error).strip().splitlines()[:1]).rstrip(".")
        if "value_fn" in reason:
            advice = "It searches along a line, and needs the loss as a function: choose one that does not."
        raise CaseError(f"{called} cannot be traced by JAX: {type(error).__name__}: {reason}. {advice}") from error


def require_numbers(case: Case, name: str, leaf: Any, state: Any = None) -> None:
    """Refuse a leaf of `state` that is not an array of numbers."""
    what = f"case {case.name!r}: {name or 'a leaf'} of the state"
    if is_typed_key(leaf):
        raise CaseError(
            f"{what} is a typed PRNG key {leaf.dtype}, expected an array of numbers. Keep it in other_state of a case "
            "that is loaded by its file or name; or keep jax.random.key_data(key), and use "
            f"jax.random.wrap_key_data(data).{adapter_advice(state)}"
        )
    if callable(leaf) or np.asarray(leaf).dtype.kind in "OSUMm":
        advice = adapter_advice(state)
        if not advice or "equinox" in advice:
            advice = f" equinox.partition(model, equinox.is_inexact_array) splits an Equinox module.{advice}"
        raise CaseError(
            f"{what} is {leaf!r}, expected an array of numbers. Keep what is not an array outside of the state.{advice}"
        )


def adapter_advice(tree: Any) -> str:
    """Return a sentence that names the adapter for a model of a library in `tree`; "" if there is none."""
    nodes = jax.tree_util.tree_leaves(tree, is_leaf=lambda node: adapter_of(node) is not None)
    adapter = next(filter(None, map(adapter_of, nodes)), None)
    return f" parity.{adapter} makes a case of the whole model." if adapter else ""


def check(case: Case, state: State, dataset: Dataset) -> None:
    """Check that the case is what its specs say, before anything is compiled.

    Raises:
        CaseError: a parameter is not floating-point or not finite, the loss is not a float scalar, the other state
            changes its structure, shapes or dtypes, or `predict` does not answer with arrays.
    """
    if not jax.tree_util.tree_leaves(state.params):
        raise CaseError(f"case {case.name!r} has no parameters. Expected at least one float array.")
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.params)[0]:
        if not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
            raise CaseError(
                f"case {case.name!r}: parameter {leaf_name(path)} is {leaf.dtype.name}, expected a floating dtype. "
                f"What has no gradient belongs into other_state.{adapter_advice(state.params)}"
            )
    _check_frozen(case, state)
    for tree in (state.params, state.other):
        names = [leaf_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CaseError(
                f"case {case.name!r}: two leaves are named {twice[0]}. Rename a key: checks go by leaf name."
            )
    if "batch_stats" in case.probes and not jax.tree_util.tree_leaves(state.other):
        raise CaseError(
            f"case {case.name!r} has the probe 'batch_stats' and no other state. Leave the probe out of probes=(...)."
        )
    require_finite(case, state, "before training")
    first, *others = _examples(case, dataset.test)
    _check_functions(case, state, first)
    for batch in others if jax.tree_util.tree_leaves(state.other) and not case.served_only else ():
        _check_loss(case, state, batch, train=True)
    if case.training.epochs:
        _check_loss(case, state, dataset.train.take(case.training.batch_size), train=True)


def _check_frozen(case: Case, state: State) -> None:
    """Refuse a pattern that is the name of no leaf."""
    leaves = jax.tree_util.tree_flatten_with_path((state.params, state.other))[0]
    names = [leaf_name(path[1:]) for path, _ in leaves]
    if callable(case.frozen):
        unmatched = [] if any(map(case.is_frozen, names)) else [repr(case.frozen)]
    else:
        unmatched = [
            pattern for pattern in case.frozen if not any(fnmatch.fnmatchcase(name, pattern) for name in names)
        ]
    for pattern in unmatched:
        expected = ", ".join(difflib.get_close_matches(pattern, names, 3, 0.5) or names[:3])
        raise CaseError(f"case {case.name!r}: no leaf is frozen by {pattern}. Expected a name such as {expected}.")


def _examples(case: Case, test: Batch) -> Iterator[Batch]:
    """Yield examples at every value of the sizes but the batch size, and at two of that one."""
    own = test.sizes
    for size in (test.size, case.training.batch_size):
        if unmet := symbols.violated(case.constraints, {**own, BATCH: size}):
            where = "Training(batch_size=...)" if size != test.size else "the number of examples in the test set"
            raise CaseError(f"case {case.name!r}: b={size}, {where}, does not satisfy the constraint {unmet!r}.")
    smallest = list(itertools.islice(symbols.batch_sizes(case.constraints, own, test.size), 2))
    yield from (test.take(size) for size in smallest)
    yield from (test.take(smallest[0]).sliced(sizes) for sizes in symbols.variants(case, own))


def _tracing(case: Case, batch: Batch) -> Callable[..., Any]:
    """Return a function that traces a function of the case for `batch`, and names it where it raises."""

    def traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return jax.eval_shape(function, *arguments)
        except ParityError:
            raise
        except Exception as error:
            specs = f"data {described(case.data)} and labels {described(case.labels)}"
            raise CaseError(
                f"case {case.name!r}: {name} {raised(error)}, of {specs} with "
                f"{symbols.written(batch.sizes)}. Correct the spec and the data, or the function."
            ) from error

    return traced


def _check_functions(case: Case, state: State, batch: Batch) -> None:
    traced = _tracing(case, batch)
    for train in () if case.served_only else (False, True):
        _check_loss(case, state, batch, train)
    if case.differentiated:
        _check_gradient(case, state, batch)
    if case.accuracy is not None:
        _check_accuracy(case, traced, state, batch)
    out = traced("predict", lambda *a: case.predict((a[0], a[1]), a[2]), state.params, state.other, batch.data)
    leaves = outputs(out).values()
    if not leaves or not all(hasattr(leaf, "shape") and not is_typed_key(leaf) for leaf in leaves):
        raise CaseError(
            f"case {case.name!r}: predict returns {shown(out)}, expected an array or a pytree of arrays of numbers. "
            "Of a typed PRNG key, return jax.random.key_data(key)."
        )


def _check_loss(case: Case, state: State, batch: Batch, train: bool) -> None:
    out = _tracing(case, batch)("loss", lambda *a: case.loss(*a, train), *state, batch.data, batch.labels)
    if not isinstance(out, tuple) or len(out) != 2:
        raise CaseError(
            f"case {case.name!r}: loss must return (loss, new_other_state), it returns {type(out).__name__}."
        )
    loss, other = out
    if getattr(loss, "shape", None) != () or not jax.numpy.issubdtype(loss.dtype, jax.numpy.floating):
        raise CaseError(
            f"case {case.name!r}: the loss is {shown(loss)}, expected a float scalar. Take the mean over the batch."
        )
    before = jax.tree_util.tree_structure(state.other)
    if jax.tree_util.tree_structure(other) != before:
        raise CaseError(
            f"case {case.name!r}: loss turns other_state {before} into {jax.tree_util.tree_structure(other)}."
        )
    old, new = _layout(state.other), _layout(other)
    for leaf in (name for name in old if old[name] != new[name]):
        raise CaseError(
            f"case {case.name!r}: loss turns {leaf} of other_state from {old[leaf]} into {new[leaf]} at "
            f"{symbols.written(batch.sizes)}. Keep its shape and dtype at every size."
        )


def _check_gradient(case: Case, state: State, batch: Batch) -> None:
    """Refuse a loss that JAX cannot differentiate."""
    try:
        jax.eval_shape(jax.grad(lambda *a: case.loss(*a, True)[0]), *state, batch.data, batch.labels)
    except Exception as error:
        raise CaseError(
            f"case {case.name!r}: the loss has no gradient: {raised(error)}. Expected one for training and for the "
            "probes eval_gradient and train_gradient. Leave these out of probes=(...), and give Training(epochs=0)."
        ) from error


def _check_accuracy(case: Case, traced: Callable[..., Any], state: State, batch: Batch) -> None:
    of: Any = case.accuracy
    out = traced("accuracy", lambda p, o, x, y: of((p, o), x, y), state.params, state.other, batch.data, batch.labels)
    if getattr(out, "shape", None) != () or not jax.numpy.issubdtype(out.dtype, jax.numpy.floating):
        raise CaseError(
            f"case {case.name!r}: the accuracy is {shown(out)}, expected a float scalar. Take the mean of the hits."
        )


def require_finite(case: Case, state: State, when: str) -> None:
    """Refuse a state with NaN or infinity in it."""
    for path, leaf in jax.tree_util.tree_flatten_with_path((state.params, state.other))[0]:
        if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) and not np.isfinite(leaf.astype(np.float64)).all():
            raise CaseError(
                f"case {case.name!r}: {leaf_name(path[1:])} has non-finite values {when}. "
                "Start from finite values, or lower the learning rate."
            )
