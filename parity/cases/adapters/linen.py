"""Cases of Flax Linen modules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import jax

from parity.cases.adapters.building import case_of, key_shape, library, require_model
from parity.cases.adapters.calling import Call, mode
from parity.cases.adapters.inputs import Inputs
from parity.cases.adapters.layout import Layout, Part, Path, Place, part_of_weight
from parity.cases.adapters.losses import Loss
from parity.cases.case import Case

PARAMS = "params"


def from_linen(
    name: str,
    model: Any,
    loss: str | Loss,
    *,
    data: Any,
    labels: Any,
    dataset: Callable[[], Any],
    call: Callable[..., Any] | None = None,
    rngs: tuple[str, ...] = ("dropout",),
    accuracy: Loss | None = None,
    served: Callable[[Any], Any] | None = None,
    **fields: Any,
) -> Case:
    """Return the case of a Flax Linen module.

    All variable collections but the parameters are other state; what a module sows is dropped. Two examples of zeros
    initialise the module.

    Args:
        name: letters, digits and underscores.
        model: an instance of `flax.linen.Module`.
        loss: the name of a loss of optax, such as "squared_error", or `loss(outputs, labels)`, which returns a scalar
            or a loss per example; the mean is taken.
        data: `Spec` of the input, or a dict of them by the names of the parameters of `__call__`.
        labels: `Spec` of the labels likewise.
        dataset: `dataset() -> Dataset`.
        call: `call(module, data, train) -> outputs`, for a model whose `__call__` takes its inputs in another way, or
            whose parameter for training has none of the names train, training, is_training, deterministic and
            use_running_average.
        rngs: the streams of random numbers that the model may ask for. One that it requires is found.
        accuracy: `accuracy(outputs, labels)`, a scalar or a hit per example. Derived where a named loss takes one
            integer or one-hot label per example.
        served: `served(outputs)`, what `predict` answers, such as `jax.nn.softmax`; the outputs by default.
        fields: further fields of `Case`, such as `training`, `frozen` or `limit`. Without `probes` all that apply.

    Raises:
        CaseError: Flax is not installed, this is no Linen module, it cannot be called with such inputs, or there is no
            such loss.
    """
    linen = library("flax.linen", "from_linen", "jax")
    owner = f"case {name!r}"
    expected = "an instance of flax.linen.Module, such as Model()"
    require_model(owner, "from_linen", model, expected, isinstance(model, linen.Module))
    network = _Linen(owner, model, Inputs(data, dataset), call, tuple(rngs))
    return case_of(name, network, loss, labels=labels, dataset=dataset, accuracy=accuracy, served=served, **fields)


class _Linen:
    hint = ""

    def __init__(
        self, owner: str, model: Any, inputs: Inputs, call: Callable[..., Any] | None, rngs: tuple[str, ...]
    ) -> None:
        self._owner, self._model, self._method, self._rngs = owner, model, call, rngs
        self.inputs = inputs
        self._call: Call | None = None
        self._sown: frozenset[str] = frozenset()

    def layout(self) -> Layout:
        self._call = None if self._method else Call.of(self._owner, self._model.__call__, self.inputs.specs)
        self._rngs = self._streams()
        variables = jax.eval_shape(self.make, key_shape())
        updated = jax.eval_shape(lambda v, k: self._applied(v, self.inputs.zeros(), k, True)[1], variables, key_shape())
        self._sown = frozenset(name for name in updated if _grew(variables.get(name), updated[name]))
        kept = {name: tree for name, tree in variables.items() if name not in self._sown}
        return Layout.of(kept, _place)

    def _streams(self) -> tuple[str, ...]:
        """Return the streams that the module requires beside those that are given, found by tracing it."""
        from flax.errors import InvalidRngError

        streams = self._rngs
        while True:
            self._rngs = streams
            try:
                jax.eval_shape(lambda k: self._applied(self.make(k), self.inputs.zeros(), k, True), key_shape())
            except InvalidRngError as error:
                missing = re.search(r'needs PRNG for "(\w+)"', str(error))
                if not missing or missing[1] in streams:
                    raise
                streams = (*streams, missing[1])
            else:
                return streams

    def make(self, key: Any) -> Any:
        from flax import linen

        keys = dict(zip((PARAMS, *self._rngs), jax.random.split(key, 1 + len(self._rngs)), strict=True))
        model, arguments, named = self._arguments(self.inputs.zeros(), False)
        method = {"method": self._method} if self._method else {}
        variables = dict(model.init(keys, *arguments, **method, **named))
        return linen.meta.unbox({name: tree for name, tree in variables.items() if name not in self._sown})

    def run(self, model: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        outputs, updated = self._applied(model, data, rng, train)
        return outputs, {**model, **updated}

    def _applied(self, variables: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        keys = {}
        if rng is not None and len(self._rngs) == 1:
            keys = {self._rngs[0]: rng}
        elif rng is not None and self._rngs:
            keys = dict(zip(self._rngs, jax.random.split(rng, len(self._rngs)), strict=True))
        model, arguments, named = self._arguments(data, train)
        method = {"method": self._method} if self._method else {}
        mutable = [name for name in variables if name != PARAMS]
        return model.apply(variables, *arguments, rngs=keys, mutable=mutable, **method, **named)

    def _arguments(self, data: Any, train: bool) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """Return the module, and the arguments of its call: a flag that its call does not take may be its attribute."""
        if self._call is None:
            return self._model, (data, train), {}
        arguments, named = self._call.inputs(data)
        flags = self._call.mode(train)
        attributes = {} if flags else mode(inspect.signature(type(self._model)).parameters, train)
        return self._model.clone(**attributes) if attributes else self._model, arguments, {**named, **flags}


def _grew(before: Any, after: Any) -> bool:
    """Return whether a collection was appended to, as sowing does with every call."""
    if before is None:
        return True
    old, new = (jax.tree_util.tree_leaves(tree) for tree in (before, after))
    return len(new) > len(old)


def _place(path: Path, leaf: Any) -> Place:
    if path[0] != PARAMS:
        return Part.OTHER, path
    part = part_of_weight(leaf)
    return part, path[1:] if part is Part.PARAMS else path
