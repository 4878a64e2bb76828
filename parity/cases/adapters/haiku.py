"""Cases of Haiku models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax

from parity.cases.adapters.building import case_of, key_shape, library, require_model
from parity.cases.adapters.calling import Call
from parity.cases.adapters.inputs import Inputs
from parity.cases.adapters.layout import Layout, Part, Path, Place, part_of_weight
from parity.cases.adapters.losses import Loss
from parity.cases.case import Case


def from_haiku(
    name: str,
    model: Any,
    loss: str | Loss,
    *,
    data: Any,
    labels: Any,
    dataset: Callable[[], Any],
    accuracy: Loss | None = None,
    served: Callable[[Any], Any] | None = None,
    **fields: Any,
) -> Case:
    """Return the case of a Haiku model.

    Two examples of zeros initialise the model.

    Args:
        name: letters, digits and underscores.
        model: a function of the inputs, as `haiku.transform_with_state` takes it, or what that or `haiku.transform`
            made of it. It is told whether it trains by a parameter `is_training`, `train` or `training`, if it has one.
        loss: the name of a loss of optax, such as "squared_error", or `loss(outputs, labels)`, which returns a scalar
            or a loss per example; the mean is taken.
        data: `Spec` of the input, or a dict of them by the names of the function's parameters.
        labels: `Spec` of the labels likewise.
        dataset: `dataset() -> Dataset`.
        accuracy: `accuracy(outputs, labels)`, a scalar or a hit per example. Derived where a named loss takes one
            integer or one-hot label per example.
        served: `served(outputs)`, what `predict` answers, such as `jax.nn.softmax`; the outputs by default.
        fields: further fields of `Case`, such as `training`, `frozen` or `limit`. Without `probes` all that apply.

    Raises:
        CaseError: Haiku is not installed, this is no function, it cannot be called with such inputs, or there is no
            such loss.
    """
    haiku = library("haiku", "from_haiku", "haiku")
    owner = f"case {name!r}"
    transformed = isinstance(model, haiku.Transformed | haiku.TransformedWithState)
    function = callable(model) and not isinstance(model, haiku.Module) and not inspect.isclass(model)
    expected = "a function of the inputs that makes the modules: lambda x: Model()(x)"
    require_model(owner, "from_haiku", model, expected, transformed or function)
    if isinstance(model, haiku.Transformed):
        model = haiku.with_empty_state(model)
    elif not transformed:
        model = haiku.transform_with_state(model)
    network = _Haiku(owner, model, Inputs(data, dataset))
    return case_of(name, network, loss, labels=labels, dataset=dataset, accuracy=accuracy, served=served, **fields)


class _Haiku:
    hint = ""

    def __init__(self, owner: str, model: Any, inputs: Inputs) -> None:
        self._owner, self._model, self.inputs = owner, model, inputs

    def layout(self) -> Layout:
        self._call = Call.of(
            self._owner, self._model.init, self.inputs.specs, ("rng",), "wrap it in a function that calls it"
        )
        return Layout.of(jax.eval_shape(self.make, key_shape()), _place)

    def make(self, key: Any) -> Any:
        arguments, named = self._call.inputs(self.inputs.zeros())
        params, state = self._model.init(key, *arguments, **named, **self._call.mode(True))
        return {"params": params, "state": state}

    def run(self, model: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        arguments, named = self._call.inputs(data)
        named |= self._call.mode(train)
        outputs, state = self._model.apply(model["params"], model["state"], rng, *arguments, **named)
        return outputs, {**model, "state": state}


def _place(path: Path, leaf: Any) -> Place:
    part = part_of_weight(leaf) if path[0] == "params" else Part.OTHER
    return part, path if path[0] == "params" and part is Part.OTHER else path[1:]
