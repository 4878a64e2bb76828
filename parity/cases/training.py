"""Brief training in JAX, so that the exported model is a trained one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from parity.cases import symbols, weights
from parity.cases.case import Case, Dataset, State, Training
from parity.cases.checking import adapter_advice, check, check_optimizer, require_finite, require_numbers, traced
from parity.cases.functions import leaf_name
from parity.cases.specs import MOST_BYTES, Batch, by_name, shown, validate
from parity.core.errors import CaseError, ParityError
from parity.core.progress import Report, silent
from parity.core.tracebacks import raised

MOST_CLOSED_OVER = 1 << 20
"""Bytes that a function may close over and be compiled: XLA keeps them as constants, and is slow with large ones."""


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
    found = traced(called, advice, rate, jax.ShapeDtypeStruct((), np.int32))
    if getattr(found, "shape", None) != () or not np.issubdtype(found.dtype, np.floating):
        raise CaseError(f"{called} gives {shown(found)} for a step, expected a float scalar. {advice}")
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
    inner = optax.with_extra_args_support(inner)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        return inner.update(widened(updates), state, widened(params), **extra)

    return optax.GradientTransformationExtraArgs(lambda params: inner.init(widened(params)), update)


def _made(called: str, function: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    try:
        return function(*arguments, **options)
    except Exception as error:
        expected = ", ".join(inspect.signature(function).parameters)
        raise CaseError(
            f"{called} cannot be made: {type(error).__name__}: {error}. It takes {expected}; change the options."
        ) from error


def train(
    case: Case,
    dataset: Dataset,
    batches: Batches,
    progress: Report = silent,
    compiled: Compiled | None = None,
    initial: State | None = None,
) -> Trained:
    """Train `case` for its epochs.

    Args:
        case: what to train.
        dataset: its examples; the whole test set is one batch.
        batches: the input pipeline over the training examples.
        progress: called after every step.
        compiled: the functions of an earlier training of the same case with another seed; None to compile.
        initial: what `usable` has returned of the case; None to check it first.

    Raises:
        CaseError: the case cannot be trained as it is; see `usable`.
    """
    initial = usable(case, dataset) if initial is None else initial
    if case.served_only:
        return Trained(case, initial, initial, (), 0, batches.steps_per_epoch, math.nan, Metrics())
    total = case.training.epochs * batches.steps_per_epoch
    training, rate = case.training, schedule(case.training, batches.steps_per_epoch)
    optimizer, step, evaluate = compiled or compile_training(case, batches.steps_per_epoch)
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
    require_finite(case, final, "after training")
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


def examples(case: Case) -> Dataset:
    """Return the examples of the case, which know their specs.

    Raises:
        CaseError: `dataset` raises or returns something else, or the sizes of its arrays are not allowed.
        InputError: the examples do not fill the specs.
    """
    try:
        found = case.dataset()
    except ParityError:
        raise
    except Exception as error:
        text = f"case {case.name!r}: dataset {raised(error)}. Correct the function, or what it reads."
        raise CaseError(text) from error
    if not isinstance(found, Dataset) or not all(isinstance(part, Batch) for part in vars(found).values()):
        raise CaseError(
            f"case {case.name!r}: dataset returned {found!r:.200}, expected Dataset(Batch(...), Batch(...))."
        )
    parts = [part.map(lambda a: np.asarray(a) if isinstance(a, np.generic) else a) for part in vars(found).values()]
    for name, part in zip(vars(found), parts, strict=True):
        validate(part, case.data, case.labels, f"case {case.name!r}")
        _require_no_nan(case, name, part)
    known = Dataset(*(replace(part, specs=(case.data, case.labels)) for part in parts))
    symbols.require_allowed(case, known.test.sizes)
    return known


def _require_no_nan(case: Case, name: str, part: Batch) -> None:
    """Require that no example has NaN, which would be in every loss; infinity may be meant, as in a mask.

    Raises:
        CaseError: one has; the message names the array and the first example.
    """
    for kind, tree in (("data", part.data), ("labels", part.labels)):
        for leaf, array in by_name(tree).items():
            bad = np.isnan(array) if jax.numpy.issubdtype(array.dtype, np.inexact) else np.zeros(0, bool)
            if bad.any():
                rows = np.unique(np.nonzero(bad)[0]) if bad.ndim else [0]
                raise CaseError(
                    f"case {case.name!r}: the {name} set has NaN in {kind if leaf == kind else f'{kind}/{leaf}'}, in "
                    f"{len(rows):,} examples, first in number {int(rows[0])}. Leave them out, or replace NaN."
                )


def usable(case: Case, dataset: Dataset) -> State:
    """Return the state before training of a case that is what its specs say, as far as tracing in JAX shows.

    Raises:
        CaseError: the case cannot be used; see `begin`, `check` and `optimizer`.
    """
    steps = case.training.steps_per_epoch(dataset.train.size)
    try:
        initial = begin(case)
        check(case, initial, dataset)
        if not case.served_only:
            check_optimizer(optimizer(case.training, steps), initial.params)
    except ParityError:
        raise
    except Exception as error:
        raise CaseError(f"case {case.name!r}: its check in JAX {raised(error)}. Correct the case.") from error
    return initial


def begin(case: Case) -> State:
    """Return the state before training, from the case's seed.

    Raises:
        CaseError: `init` raises, does not return two pytrees, a leaf is not an array of numbers, or the weights that
            the case names are those of another model.
    """
    init_key, rng = jax.random.split(jax.random.PRNGKey(case.training.seed))
    try:
        found = _initialised(case, init_key)
    except Exception as error:
        raise CaseError(f"case {case.name!r}: init {raised(error)}. Correct the function.") from error
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise CaseError(
            f"case {case.name!r}: init returns {type(found).__name__}, expected (params, other_state)."
            f"{adapter_advice(found)}"
        )
    params, other = found
    for path, leaf in jax.tree_util.tree_flatten_with_path((params, other))[0]:
        require_numbers(case, leaf_name(path[1:]), leaf, found)
    params, other, rng = jax.tree_util.tree_map(np.asarray, (params, other, rng))
    if case.weights is not None:
        params, other = _from_file(case, case.weights, (params, other))
    return State(params, other, rng)


def _initialised(case: Case, key: Any) -> Any:
    """Return what `init` returns, by one program where it makes arrays of JAX alone and closes over few numbers.

    Random draws are many small programs otherwise, and it is optimised little, because it runs once. Weights that are
    given, or were shipped by another program, must be those of `init` to the bit: then it is called as it is.
    """
    if case.has_own_artifact or not case.training.epochs:
        return case.init(key)

    def made(key: Any) -> Any:
        found = case.init(key)
        if not all(isinstance(leaf, jax.Array) for leaf in jax.tree_util.tree_leaves(found)):
            raise TypeError("arrays of another library")  # JAX would convert their dtypes
        return found

    try:
        if sum(np.asarray(c).nbytes for c in jax.make_jaxpr(made)(key).consts) > MOST_CLOSED_OVER:
            return case.init(key)
        program = jax.jit(made).lower(key).compile(compiler_options={"xla_backend_optimization_level": 0})
    except Exception:
        return case.init(key)
    return program(key)


def _from_file(case: Case, path: str | PathLike[str], made: Any) -> Any:
    """Return the state in a file, in the structure of what `init` made."""
    found, tree = jax.tree_util.tree_flatten_with_path(made)
    names = [leaf_name(keys[1:]) for keys, _ in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CaseError(
            f"case {case.name!r}: {twice[0]} is a parameter and a leaf of the other state, which a file of weights "
            "cannot tell apart. Rename one, or load the weights in init."
        )
    leaves, owner = {leaf_name(keys[1:]): leaf for keys, leaf in found}, f"case {case.name!r}"
    filled = weights.fill(leaves, weights.load(path, owner), owner)
    return jax.tree_util.tree_unflatten(tree, [filled[leaf_name(keys[1:])] for keys, _ in found])


def widened(params: Any) -> Any:
    """Return floats narrower than float32 as float32, and other leaves as they are."""

    def widen(leaf: Any) -> Any:
        narrow = jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) and leaf.dtype.itemsize < MOST_BYTES
        return leaf.astype(np.float32) if narrow else leaf

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
