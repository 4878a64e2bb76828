"""Brief training in JAX, so that the exported model is a trained one; and the checks of a case before it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from parity.cases.case import Case, Dataset, State, Training
from parity.cases.keys import is_typed_key
from parity.cases.specs import MOST_BYTES, Batch, described, outputs, validate
from parity.core.errors import CaseError
from parity.core.progress import Report, silent
from parity.core.tracebacks import line_of_user


class Batches(Protocol):
    """The input pipeline; see `parity.cases.pipeline.Pipeline`."""

    steps_per_epoch: int

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch."""


@dataclass
class Metrics:
    """The loss of each step; and of each epoch its mean, the evaluation loss, the accuracy and the learning rate."""

    step_loss: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    eval_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """A case after training: the initial and the final state, the optimizer's state `moments`, and the metrics."""

    case: Case
    initial: State
    state: State
    moments: Any
    steps: int
    steps_per_epoch: int
    initial_eval_loss: float
    metrics: Metrics


def schedule(training: Training, steps_per_epoch: int) -> optax.Schedule:
    """Return the learning rate by step; by default it decays once per epoch.

    Raises:
        CaseError: optax has no such schedule, it does not take these options, or JAX cannot trace it.
    """
    declared = training.schedule
    if declared is None:
        return optax.exponential_decay(
            training.learning_rate, transition_steps=steps_per_epoch, decay_rate=training.decay, staircase=True
        )
    called = f"schedule {declared.name or getattr(declared.function, '__name__', declared.function)!r}"
    made = getattr(optax.schedules, declared.name, None) if declared.name else declared.function
    if not callable(made) or inspect.isclass(made):
        raise CaseError(f"{called} is not in optax.schedules. Expected such as cosine_decay_schedule, or function=...")
    rate = _made(called, made, declared.options) if declared.name else made
    advice = "Write it in jax.numpy: jax.numpy.where for an if on the step, and no float(step)."
    found = _traced(called, advice, rate, jax.ShapeDtypeStruct((), np.int32))
    if getattr(found, "shape", None) != () or not np.issubdtype(found.dtype, np.floating):
        raise CaseError(f"{called} gives {found} for a step, expected a float scalar. {advice}")
    return rate


def optimizer(training: Training, steps_per_epoch: int) -> optax.GradientTransformationExtraArgs:
    """Return the declared optimizer and schedule as Optax makes them; in float32 its state is exactly Optax's.

    For parameters narrower than float32 the gradients and parameters are widened before Optax sees them, so that
    every moment is float32 and `optax.apply_updates` rounds once, back to the parameter's dtype.

    Raises:
        CaseError: optax has no such optimizer or schedule, it does not take these options, or JAX cannot trace the
            schedule.
    """
    rate, declared = schedule(training, steps_per_epoch), training.optimizer
    if declared.make is not None:
        inner = _made("optimizer of one's own", declared.make, {}, rate)
        if not isinstance(inner, optax.GradientTransformation):
            raise CaseError(
                f"optimizer: make returned {inner!r}, expected an optax.GradientTransformation. "
                "It is called with the schedule."
            )
    else:
        function = getattr(optax, declared.name, None)
        if not inspect.isfunction(function) or "learning_rate" not in inspect.signature(function).parameters:
            raise CaseError(
                f"optimizer {declared.name!r}: optax has no such function with a learning_rate. Expected such as "
                "adam, adamw, sgd, lion or adafactor, or make=..."
            )
        inner = _made(f"optimizer {declared.name!r}", function, {"learning_rate": rate, **declared.options})
    if declared.clip_global_norm is not None:
        inner = optax.chain(optax.clip_by_global_norm(declared.clip_global_norm), inner)
    return _widened(inner)


def check_optimizer(optimizer: optax.GradientTransformation, params: Any) -> None:
    """Check, before the first step, that the optimizer can be traced and its state can be stored.

    Raises:
        CaseError: its state holds what is not an array of numbers, JAX cannot trace its update, or the update changes
            the state's structure, shapes or dtypes.
    """
    state = optimizer.init(params)
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
    updates, after = _traced("optimizer: its update", advice, update, params, state, params)
    for what, old, new in (("updates", params, updates), ("state", state, after)):
        before, then = (_layout(tree, dtypes=what == "state") for tree in (old, new))
        if before != then:
            leaf = sorted({name for name, _ in before.items() ^ then.items()})[0]
            raise CaseError(
                f"optimizer: its update makes {leaf} of the {what} {then.get(leaf)}, expected {before.get(leaf)} as "
                "before. Keep structure, shapes and dtypes."
            )


def _layout(tree: Any, dtypes: bool) -> dict[str, tuple[Any, ...]]:
    flat = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {leaf_name(path): (leaf.shape, *([leaf.dtype.name] if dtypes else [])) for path, leaf in flat}


def _made(called: str, function: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    try:
        return function(*arguments, **options)
    except Exception as error:
        expected = ", ".join(inspect.signature(function).parameters)
        raise CaseError(
            f"{called} cannot be made: {type(error).__name__}: {error}. It takes {expected}; change the options."
        ) from error


def _traced(called: str, advice: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:
        reason = " ".join(str(error).strip().splitlines()[:1]).rstrip(".")
        if "value_fn" in reason:
            advice = "It searches along a line, and needs the loss as a function: choose one that does not."
        raise CaseError(f"{called} cannot be traced by JAX: {type(error).__name__}: {reason}. {advice}") from error


def _widened(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    inner = optax.with_extra_args_support(inner)

    def widen(leaf: Any) -> Any:
        narrow = jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) and leaf.dtype.itemsize < 4
        return jax.numpy.asarray(leaf, jax.numpy.float32) if narrow else leaf

    def wide(tree: Any) -> Any:
        return jax.tree_util.tree_map(widen, tree)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        return inner.update(wide(updates), state, wide(params), **extra)

    return optax.GradientTransformationExtraArgs(lambda params: inner.init(wide(params)), update)


def train(
    case: Case, dataset: Dataset, batches: Batches, progress: Report = silent, compiled: Compiled | None = None
) -> Trained:
    """Train `case` for its epochs.

    Args:
        case: what to train.
        dataset: its examples; the whole test set is one batch.
        batches: the input pipeline over the training examples.
        progress: called after every step.
        compiled: the functions of an earlier training of the same case with another seed; None to compile.

    Raises:
        CaseError: the case cannot be trained as it is; see `check`.
    """
    initial = begin(case)
    check(case, initial, dataset)
    total = case.training.epochs * batches.steps_per_epoch
    training, rate = case.training, schedule(case.training, batches.steps_per_epoch)
    optimizer, step, evaluate = compiled or compile_training(case, batches.steps_per_epoch)
    check_optimizer(optimizer, initial.params)
    test = dataset.test
    before = float(evaluate(initial.params, initial.other, initial.rng, test.data, test.labels)[0])
    metrics = Metrics()
    state, moments, count = initial, optimizer.init(widened(initial.params)), 0
    for epoch in range(training.epochs):
        losses = []
        for batch in batches.epoch(epoch):
            loss, state, moments = step(state, moments, batch.data, batch.labels)
            losses.append(float(loss))
            count += 1
            progress(f"JAX, epoch {epoch + 1}, loss {losses[-1]:.3f}", count, total)
        eval_loss, accuracy = evaluate(state.params, state.other, state.rng, test.data, test.labels)
        metrics.step_loss += losses
        metrics.train_loss.append(float(np.mean(losses)))
        metrics.eval_loss.append(float(eval_loss))
        metrics.accuracy.append(float(accuracy))
        metrics.learning_rate.append(float(rate(count - 1)))
    final, last = jax.tree_util.tree_map(np.asarray, (state, moments))
    _require_finite(case, final, "after training")
    return Trained(case, initial, final, last, count, batches.steps_per_epoch, before, metrics)


class Compiled(NamedTuple):
    """The functions of a training, compiled when they are first called."""

    optimizer: optax.GradientTransformation
    step: Callable[..., Any]
    evaluate: Callable[..., Any]


def compile_training(case: Case, steps_per_epoch: int) -> Compiled:
    """Return what `train` compiles of `case`, for use with several seeds.

    Raises:
        CaseError: the optimizer or the schedule cannot be made; see `optimizer`.
    """
    update = optimizer(case.training, steps_per_epoch)
    return Compiled(update, jax.jit(_train_step(case, update)), jax.jit(_evaluation(case)))


def begin(case: Case) -> State:
    """Return the state before training, from the case's seed.

    Raises:
        CaseError: `init` raises, does not return two pytrees, or a leaf is not an array of numbers.
    """
    init_key, rng = jax.random.split(jax.random.PRNGKey(case.training.seed))
    try:
        params, other = case.init(init_key)
    except Exception as error:
        raise CaseError(f"case {case.name!r}: init raised {type(error).__name__}: {error}") from error
    for path, leaf in jax.tree_util.tree_flatten_with_path((params, other))[0]:
        _require_numbers(case, leaf_name(path[1:]), leaf)
    return State(*jax.tree_util.tree_map(np.asarray, (params, other, rng)))


def _require_numbers(case: Case, name: str, leaf: Any) -> None:
    what = f"case {case.name!r}: {name or 'a leaf'} of the state"
    if is_typed_key(leaf):
        raise CaseError(
            f"{what} is a typed PRNG key {leaf.dtype}, expected an array of numbers. Keep it in other_state of a case "
            "that is loaded by its file or name; or keep jax.random.key_data(key), and use "
            "jax.random.wrap_key_data(data)."
        )
    if callable(leaf) or np.asarray(leaf).dtype.kind in "OSUMm":
        raise CaseError(
            f"{what} is {leaf!r}, expected an array of numbers. Keep what is not an array outside of the state; "
            "equinox.partition(model, equinox.is_array) splits an Equinox module."
        )


def check(case: Case, state: State, dataset: Dataset) -> None:
    """Check that the case is what its specs say, before anything is compiled.

    Raises:
        CaseError: a parameter is not floating-point or not finite, the loss is not a float scalar, the structure of
            the other state changes, or `predict` does not answer with a row per example.
        InputError: the examples do not fill the specs.
    """
    for part in (dataset.train, dataset.test):
        validate(part, case.data, case.labels, f"case {case.name!r}")
    if not jax.tree_util.tree_leaves(state.params):
        raise CaseError(f"case {case.name!r} has no parameters. Expected at least one float array.")
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.params)[0]:
        if not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
            raise CaseError(
                f"case {case.name!r}: parameter {leaf_name(path)} is {leaf.dtype.name}, expected a floating dtype. "
                "What has no gradient belongs into other_state."
            )
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
    _require_finite(case, state, "before training")
    _check_functions(case, state, dataset.test.take(min(2, dataset.test.size)))


def _check_functions(case: Case, state: State, batch: Batch) -> None:
    def traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return jax.eval_shape(function, *arguments)
        except Exception as error:
            specs = f"data {described(case.data)} and labels {described(case.labels)}"
            raise CaseError(
                f"case {case.name!r}: {name} raised {type(error).__name__}: {str(error).rstrip('.')}, of {specs} with "
                f"b={batch.size}, at {line_of_user(error)}. Correct the spec and the data, or the function."
            ) from error

    for train in (False, True):
        out = traced("loss", lambda *a, t=train: case.loss(*a, t), *state, batch.data, batch.labels)
        if not isinstance(out, tuple) or len(out) != 2:
            raise CaseError(
                f"case {case.name!r}: loss must return (loss, new_other_state), it returns {type(out).__name__}."
            )
        loss, other = out
        if getattr(loss, "shape", None) != () or not jax.numpy.issubdtype(loss.dtype, jax.numpy.floating):
            raise CaseError(
                f"case {case.name!r}: the loss is {loss}, expected a float scalar. Take the mean over the batch."
            )
        before = jax.tree_util.tree_structure(state.other)
        if jax.tree_util.tree_structure(other) != before:
            raise CaseError(
                f"case {case.name!r}: loss turns other_state {before} into {jax.tree_util.tree_structure(other)}."
            )
        old, new = (_layout(tree, dtypes=True) for tree in (state.other, other))
        for leaf in (name for name in old if old[name] != new[name]):
            raise CaseError(
                f"case {case.name!r}: loss turns {leaf} of other_state from {_described(old[leaf])} into "
                f"{_described(new[leaf])} for {batch.size} examples. Keep its shape and dtype, whatever the batch size."
            )
    if case.accuracy is not None:
        _check_accuracy(case, traced, state, batch)
    out = traced("predict", lambda *a: case.predict((a[0], a[1]), a[2]), state.params, state.other, batch.data)
    if not all(hasattr(leaf, "shape") for leaf in outputs(out).values()):
        raise CaseError(f"case {case.name!r}: predict returns {out}, expected an array or a dict of arrays.")
    if any(not leaf.shape or leaf.shape[0] != batch.size for leaf in outputs(out).values()):
        raise CaseError(
            f"case {case.name!r}: predict returns {out} for {batch.size} examples, expected [{batch.size}, ...]."
        )


def _described(layout: tuple[Any, ...]) -> str:
    shape, dtype = layout
    return f"{dtype}[{', '.join(map(str, shape))}]"


def _check_accuracy(case: Case, traced: Callable[..., Any], state: State, batch: Batch) -> None:
    of: Any = case.accuracy
    out = traced("accuracy", lambda p, o, x, y: of((p, o), x, y), state.params, state.other, batch.data, batch.labels)
    if getattr(out, "shape", None) != () or not jax.numpy.issubdtype(out.dtype, jax.numpy.floating):
        raise CaseError(
            f"case {case.name!r}: the accuracy is {out}, expected a float scalar. Take the mean of the hits."
        )


def _require_finite(case: Case, state: State, when: str) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path((state.params, state.other))[0]:
        if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) and not np.isfinite(leaf.astype(np.float64)).all():
            raise CaseError(
                f"case {case.name!r}: {leaf_name(path[1:])} has non-finite values {when}. "
                "Start from finite values, or lower the learning rate."
            )


def leaf_name(path: Any) -> str:
    """Return the name of a leaf of a pytree, such as `Conv_0/kernel`, from its key path."""
    names = (getattr(k, "key", getattr(k, "idx", getattr(k, "name", k))) for k in path)
    return "/".join(str(name) for name in names)


def widened(params: Any) -> Any:
    """Return parameters narrower than float32 as float32, and others as they are."""

    def widen(leaf: Any) -> Any:
        return leaf.astype(np.float32) if np.dtype(leaf.dtype).itemsize < MOST_BYTES else leaf

    return jax.tree_util.tree_map(widen, params)


def training_step(case: Case, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    """Return one step of training as a pure function of (params, other_state, rng, moments, data, labels).

    It returns by name `key`, `loss`, `gradient`, `batch_stats` (the other state), `moments` (the optimizer's state) and
    `parameters`. Parameters narrower than float32 are widened before the loss is differentiated: gradients and moments
    are float32, and only what is kept of the parameters is rounded.
    """
    update = optax.with_extra_args_support(optimizer).update  # some look at the loss as well

    def step(params: Any, other: Any, rng: Any, moments: Any, data: Any, labels: Any) -> dict[str, Any]:
        key, drawn = jax.random.split(rng)
        wide, differentiate = widened(params), jax.value_and_grad(case.loss, has_aux=True)
        (loss, updated), gradient = differentiate(wide, other, drawn, data, labels, True)
        updates, moments = update(gradient, moments, wide, value=loss, grad=gradient)
        kept = optax.apply_updates(wide, updates)
        parameters = jax.tree_util.tree_map(lambda new, old: new.astype(old.dtype), kept, params)
        return {
            "key": key, "loss": loss, "gradient": gradient, "batch_stats": updated, "moments": moments,
            "parameters": parameters,
        }  # fmt: skip

    return step


def _train_step(case: Case, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    step = training_step(case, optimizer)

    def kept(state: State, moments: Any, data: Any, labels: Any) -> tuple[Any, State, Any]:
        found = step(*state, moments, data, labels)
        return found["loss"], State(found["parameters"], found["batch_stats"], found["key"]), found["moments"]

    return kept


def _evaluation(case: Case) -> Callable[..., Any]:
    def evaluate(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> tuple[Any, Any]:
        loss, _ = case.loss(params, other, rng, data, labels, False)
        accuracy = case.accuracy((params, other), data, labels) if case.accuracy else jax.numpy.nan
        return loss, accuracy

    return evaluate
