"""The ways to plant a fault: in variables, the case's functions, the exported module, on disk, in parity itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import flax.linen as nn
import jax

from parity.cases.case import Case
from parity.export import artifact
from parity.studies.faults import Fault, Plant
from parity.studies.faults.bench import FUNCTIONS, Bench, Values

ONE_SIZE = (13,)
"""For losses that are converted anew, each of which compiles for seconds at each batch size."""

LOSSES = ("eval_loss", "train_loss")
Patch = Callable[[], AbstractContextManager[Any]]


def grouped(group: str, *faults: Fault, sizes: tuple[int, ...] | None = None) -> tuple[Fault, ...]:
    """Return the faults of a group; `sizes` is for faults that have no sizes of their own."""
    return tuple(replace(fault, group=group, sizes=fault.sizes or sizes) for fault in faults)


def variables(change: Callable[[Values], None]) -> Plant:
    """Values of the reloaded artifact's variables replaced, or written into."""
    return lambda bench: bench.assigned(lambda values, _: change(values))


def variable(leaf: str, change: Callable[[Any], Any]) -> Plant:
    """One variable's value replaced by what `change` makes of it."""

    def plant(values: Values) -> None:
        values[leaf] = change(values[leaf])

    return variables(plant)


def case(change: Callable[[Case], Case], *functions: str) -> Plant:
    """`functions` converted anew from a faulty case, over the same trained variables."""

    def plant(bench: Bench) -> AbstractContextManager[None]:
        exported = bench.exported(change(bench.case), functions)
        return bench.replaced({name: getattr(exported, name) for name in functions})

    return plant


def inside(patch: Patch, *functions: str) -> Plant:
    """`functions` converted anew while a library function that the case calls is patched."""

    def within(function: Any) -> Callable[..., Any]:
        def faulty(*arguments: Any) -> Any:
            with patch():
                return function(*arguments)

        return faulty

    def change(original: Case) -> Case:
        return replace(
            original, loss=within(original.loss), predict=within(original.predict), accuracy=within(original.accuracy)
        )

    return case(change, *(functions or FUNCTIONS))


def loss(change: Callable[..., Any], *functions: str) -> Plant:
    """`change(original_loss, params, other, rng, data, labels, train)` instead of the case's loss."""
    return case(lambda original: replace(original, loss=partial(change, original.loss)), *(functions or LOSSES))


def predict(change: Callable[..., Any]) -> Plant:
    """`change(original_predict, state, data)` instead of the case's predict."""
    return case(lambda original: replace(original, predict=partial(change, original.predict)), "predict")


def accuracy(change: Callable[..., Any]) -> Plant:
    """`change(original_case, state, data, labels)` instead of the case's accuracy."""
    return case(lambda original: replace(original, accuracy=partial(change, original)), "accuracy")


def module(name: str, change: Callable[..., Any]) -> Plant:
    """`change(module, data, labels)` in TensorFlow, instead of that function of the artifact."""

    def plant(bench: Bench) -> AbstractContextManager[None]:
        case = bench.case
        specs = [artifact.tensor_specs(s) for s in ((case.data,) if name == "predict" else (case.data, case.labels))]
        return bench.replaced({name: artifact.graph(partial(change, bench.module), specs)})

    return plant


def layer(kind: type, change: Callable[..., Any]) -> Patch:
    """`change(layer, original_call, *inputs)` instead of calling a Flax layer of that kind."""

    def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, kind) and context.method_name == "__call__":
            return change(context.module, partial(call, **kwargs), *args)
        return call(*args, **kwargs)

    return lambda: nn.intercept_methods(intercept)


def attribute(kind: str, **changed: Any) -> Patch:
    """Flax layers of that kind made with other attributes."""
    original = getattr(nn, kind)
    return lambda: mock.patch.object(nn, kind, lambda **given: original(**{**given, **changed}))


def function(target: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace a function of a library by what `make` makes of it."""
    return lambda: mock.patch.object(target, name, make(getattr(target, name)))


def patched(*patches: tuple[Any, str, Callable[[Any], Any]]) -> Plant:
    """Functions of parity replaced by what `make` makes of them.

    Raises:
        AttributeError: there is none of that name.
    """
    original = [getattr(target, name) for target, name, _ in patches]

    @contextmanager
    def plant(bench: Bench) -> Iterator[None]:
        with ExitStack() as stack:
            for (target, name, make), function in zip(patches, original, strict=True):
                stack.enter_context(mock.patch.object(target, name, make(function)))
            yield

    return plant


def on_disk(edit: Callable[[Path], None]) -> Plant:
    """Files of the exported bundle edited."""
    return lambda bench: bench.rewritten(lambda folder, _: edit(folder))


def rounded(bits: int) -> Callable[[Any], Any]:
    """Return a function that rounds float32 to a mantissa of `bits` bits: 10 for TF32, 7 for bfloat16."""
    return lambda x: jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)


def with_cotangent(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the identity, with `change` applied to the gradient that flows back through it."""

    @jax.custom_vjp
    def identity(x: Any) -> Any:
        return x

    identity.defvjp(lambda x: (x, None), lambda _, cotangent: (change(cotangent),))
    return identity
