"""A case made of a network: its functions, and the probes that apply."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

import jax

from parity.cases.adapters.inputs import Inputs
from parity.cases.adapters.layout import Layout
from parity.cases.adapters.losses import Loss, accuracy_of, loss_of, mean_of
from parity.cases.case import PROBES, Case
from parity.cases.libraries import adapter_of
from parity.core.errors import CaseError, ParityError
from parity.core.tracebacks import raised


class Network(Protocol):
    """How a library makes a model and calls it.

    Attributes:
        inputs: what the model is called with.
        hint: ends the message where the model cannot be called, or "".
    """

    inputs: Inputs
    hint: str

    def layout(self) -> Layout:
        """Return where the leaves of a model belong; the model is traced, not computed."""

    def make(self, key: Any) -> Any:
        """Return a new model, a pytree; `key` is [2] uint32."""

    def run(self, model: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        """Return the outputs, and the model as it is afterwards; `rng` is [2] uint32, or None in `predict`."""


def library(name: str, adapter: str, extra: str) -> ModuleType:
    """Import what an adapter needs.

    Raises:
        CaseError: it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CaseError(
            f"{adapter} cannot import {name}: {error}. Install it beside your jax: pip install 'parity[{extra}]'."
        ) from error


def require_model(owner: str, adapter: str, model: Any, expected: str, accepted: bool) -> None:
    """Refuse what an adapter cannot make a case of, and name the one that can.

    Raises:
        CaseError: `model` is another library's, or not `accepted`; `expected` says what is.
    """
    other = adapter_of(model)
    named = inspect.isclass(model) or other is None
    got = f"{model!r}" if named else f"{type(model).__name__}(...)"
    if other not in (None, adapter):
        raise CaseError(f"{owner}: {adapter} got {got}. parity.{other} makes a case of it.")
    if not accepted:
        raise CaseError(f"{owner}: {adapter} got {got}, expected {expected}.")


def case_of(
    name: str,
    network: Network,
    loss: str | Loss,
    *,
    labels: Any,
    dataset: Any,
    accuracy: Loss | None = None,
    served: Callable[[Any], Any] | None = None,
    **fields: Any,
) -> Case:
    """Return the case of a network.

    Args:
        name: of the case.
        network: how its library makes and calls it.
        loss: the name of a loss of optax, or `loss(outputs, labels)`, a scalar or a loss per example.
        labels: specs of the labels.
        dataset: as that of a case.
        accuracy: `accuracy(outputs, labels)`, a scalar or a hit per example; None to derive it where it follows from
            the loss.
        served: what `predict` answers, made from the outputs; None for the outputs themselves.
        fields: further fields of `Case`. Without `probes` all that apply are asked.

    Raises:
        CaseError: the model cannot be made or called with such inputs, there is no such loss, or no such field.
    """
    owner = f"case {name!r}"
    _check_fields(owner, fields)
    reduced, answer = loss_of(owner, loss), served or _unchanged

    def init(key: Any) -> Any:
        return jax.tree_util.tree_map(jax.numpy.asarray, layout.divide(network.make(key)))

    def outputs_of(state: Any, data: Any) -> Any:
        return network.run(layout.join(*state), data, None, False)[0]

    def predict(state: Any, data: Any) -> Any:
        return answer(outputs_of(state, data))

    def lost(params: Any, other: Any, rng: Any, data: Any, labels: Any, train: bool) -> Any:
        outputs, model = network.run(layout.join(params, other), data, rng, train)
        return reduced(outputs, labels), layout.divide(model)[1]

    draft = Case(name, init, lost, predict, network.inputs.specs, labels, dataset, **{**fields, "probes": ("predict",)})
    model = f"{owner}: the model of data {network.inputs}"
    layout = _traced(model, network.layout, network.hint)
    outputs, answered = _traced(
        model, functools.partial(_shapes, init, outputs_of, answer, network.inputs), network.hint
    )
    hits = accuracy or accuracy_of(loss, labels, outputs, answered)

    def counted(state: Any, data: Any, labels: Any) -> Any:
        assert hits is not None
        found = jax.numpy.asarray(hits(outputs_of(state, data), labels))
        if found.ndim > 1:
            raise CaseError(
                f"{owner}: accuracy returns hits of shape {list(found.shape)}, expected a scalar or one hit per "
                "example. Count an example as a hit where all of it is right: hits.all(axis)."
            )
        return mean_of(found)

    absent = {"batch_stats": not layout.has_other, "accuracy": hits is None}
    probes = fields.get("probes", tuple(probe for probe in PROBES if not absent.get(probe)))
    return dataclasses.replace(draft, accuracy=counted if hits else None, probes=probes)


def key_shape() -> Any:
    """Return the shape and dtype of the key that `init` of a case is called with, which JAX's default decides."""
    return jax.eval_shape(lambda: jax.random.PRNGKey(0))


def _unchanged(outputs: Any) -> Any:
    return outputs


def _shapes(init: Any, outputs_of: Any, answer: Any, inputs: Inputs) -> Any:
    def both(key: Any, data: Any) -> Any:
        outputs = outputs_of(init(key), data)
        return outputs, answer(outputs)

    return jax.eval_shape(both, key_shape(), inputs.shapes)


def _check_fields(owner: str, fields: dict[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(Case)} - {"name", "init", "loss", "predict"}
    for unknown in sorted(set(fields) - known):
        near = difflib.get_close_matches(unknown, known, 1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise CaseError(
            f"{owner}: {unknown!r} is no argument of the adapter. {meant}Expected its own arguments, or a field of "
            f"Case: {', '.join(sorted(known))}."
        )


def _traced(model: str, function: Callable[[], Any], hint: str) -> Any:
    try:
        return function()
    except ParityError:
        raise
    except Exception as error:
        raise CaseError(f"{model} {raised(error)}. Correct the model or the specs. {hint}".rstrip()) from error
