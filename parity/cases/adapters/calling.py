"""How a model is called: which of its parameters take the inputs, and which say whether it trains."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parity.core.errors import CaseError

TRAINING = ("train", "training", "is_training")
"""Names of a parameter that is true in training."""
INFERENCE = ("deterministic", "use_running_average", "inference")
"""Names of a parameter that is false in training."""
CALL = "give call=..., a function that calls it"
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def mode(names: Any, train: bool) -> dict[str, bool]:
    """Return those of `names` that say whether a model trains, with their values."""
    return {name: train if name in TRAINING else not train for name in names if name in (*TRAINING, *INFERENCE)}


@dataclass(frozen=True)
class Call:
    """How a model takes its inputs.

    Attributes:
        parameters: of the model's call, by name.
        spread: "names" if the inputs of a dict are passed by name, "places" if those of a tuple or list are passed in
            order, "" if the data is passed as it is.
        reserved: the parameters that the adapter passes, such as `key`, if the model has them.
    """

    parameters: Mapping[str, inspect.Parameter]
    spread: str
    reserved: frozenset[str]

    @classmethod
    def of(
        cls, owner: str, function: Callable[..., Any], data: Any, reserved: tuple[str, ...] = (), otherwise: str = CALL
    ) -> Call:
        """Return how `function` is called with `data`, specs.

        Args:
            owner: the case, for messages.
            function: what is called, with the inputs first.
            data: the specs of the inputs.
            reserved: the names of parameters that the adapter passes.
            otherwise: ends the message.

        Raises:
            CaseError: named inputs are not the function's parameters, which are several, or nothing is passed for one.
        """
        every = dict(inspect.signature(function).parameters)
        taken = frozenset(reserved) & set(every)
        own = {n: p for n, p in every.items() if n not in taken and not mode([n], True)}
        return cls(every, _spread(owner, own, data, otherwise), taken)

    def inputs(self, data: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the named arguments that pass `data`."""
        if self.spread == "names":
            return (), dict(data)
        return (tuple(data) if self.spread == "places" else (data,)), {}

    def mode(self, train: bool) -> dict[str, bool]:
        """Return the arguments that say whether the model trains."""
        return mode(self.parameters, train)

    def required(self, name: str) -> bool:
        """Return whether the parameter `name` must be passed."""
        return self.parameters[name].default is inspect.Parameter.empty


def _spread(owner: str, parameters: Mapping[str, inspect.Parameter], data: Any, otherwise: str) -> str:
    named = [n for n, p in parameters.items() if p.kind in _BY_NAME]
    required = [n for n in named if parameters[n].default is inspect.Parameter.empty]
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    inputs, called = "one input", ", ".join(parameters) or "nothing"
    if isinstance(data, Mapping):
        inputs = ", ".join(sorted(data))
        if set(required) <= set(data) and (anything or set(data) <= set(named)):
            return "names"
        if not set(data) & set(named) and not required[1:] and named[:1] == required[:1]:
            return ""
    elif type(data) in (tuple, list):
        inputs = f"{len(data)} inputs"
        if not set(required) & set(named[len(data) :]):
            return "places"
    elif not set(required) & set(named[1:]):
        return ""
    raise CaseError(
        f"{owner}: the model is called with {called}, and data has {inputs}. Name the specs as the model names its "
        f"inputs and a flag as one of {', '.join((*TRAINING, *INFERENCE))}, or {otherwise}."
    )
