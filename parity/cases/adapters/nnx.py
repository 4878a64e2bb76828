"""Cases of Flax NNX modules."""

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
from parity.core.errors import CaseError


def from_nnx(
    name: str,
    model: Any,
    loss: str | Loss,
    *,
    data: Any,
    labels: Any,
    dataset: Callable[[], Any],
    call: Callable[..., Any] | None = None,
    trained: Any = None,
    accuracy: Loss | None = None,
    served: Callable[[Any], Any] | None = None,
    **fields: Any,
) -> Case:
    """Return the case of a Flax NNX module.

    Variables of the type `trained` are parameters; all others, such as batch statistics, caches, and the keys and
    counts of `Rngs`, are other state. `train()` and `eval()` are called on the module. Shared variables are kept once.

    Args:
        name: letters, digits and underscores.
        model: `model(rngs) -> module`, such as `lambda rngs: Model(8, rngs=rngs)`, or a class whose only argument is
            rngs; or a module that is made already, whose values then do not depend on the seed.
        loss: the name of a loss of optax, such as "squared_error", or `loss(outputs, labels)`, which returns a scalar
            or a loss per example; the mean is taken.
        data: `Spec` of the input, or a dict of them by the names of the parameters of `__call__`.
        labels: `Spec` of the labels likewise.
        dataset: `dataset() -> Dataset`.
        call: `call(module, data, train) -> outputs`, for a model whose `__call__` takes its inputs in another way.
        trained: a filter of NNX that says which variables are trained, such as `nnx.LoRAParam`; `nnx.Param` by default.
        accuracy: `accuracy(outputs, labels)`, a scalar or a hit per example. Derived where a named loss takes one
            integer or one-hot label per example.
        served: `served(outputs)`, what `predict` answers, such as `jax.nn.softmax`; the outputs by default.
        fields: further fields of `Case`, such as `training`, `frozen` or `limit`. Without `probes` all that apply.

    Raises:
        CaseError: this Flax has no NNX, this makes no NNX module, the module cannot be called with such inputs, or
            there is no such loss.
    """
    nnx = library("flax.nnx", "from_nnx", "jax")
    owner = f"case {name!r}"
    accepted = isinstance(model, nnx.Module) or callable(model)
    require_model(owner, "from_nnx", model, "a module, or a function of nnx.Rngs that makes one", accepted)
    network = _Nnx(owner, nnx, model, Inputs(data, dataset), call, nnx.Param if trained is None else trained)
    return case_of(name, network, loss, labels=labels, dataset=dataset, accuracy=accuracy, served=served, **fields)


class _Nnx:
    hint = ""

    def __init__(self, owner: str, nnx: Any, model: Any, inputs: Inputs, method: Any, trained: Any) -> None:
        self._owner, self._nnx, self._given, self.inputs = owner, nnx, model, inputs
        self._method, self._trained = method, trained
        self._call: Call | None = None
        self._graph: Any = None

    def layout(self) -> Layout:
        made = self._nnx.eval_shape(self._made, key_shape())
        self._call = None if self._method else Call.of(self._owner, made.__call__, self.inputs.specs, ("rngs",))
        self._graph, trained, rest = self._nnx.split(made, self._trained, ...)
        return Layout.of({"trained": trained, "rest": rest}, _place)

    def make(self, key: Any) -> Any:
        return self._parts(self._made(key))

    def run(self, model: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        module = self._nnx.merge(self._graph, model["trained"], model["rest"])
        module.train() if train else module.eval()
        if self._call is None:
            outputs = self._method(module, data, train)
        else:
            arguments, named = self._call.inputs(data)
            if "rngs" in self._call.reserved and (rng is not None or self._call.required("rngs")):
                named["rngs"] = self._nnx.Rngs(0 if rng is None else jax.random.wrap_key_data(rng))
            outputs = module(*arguments, **named, **self._call.mode(train))
        return outputs, self._parts(module)

    def _made(self, key: Any) -> Any:
        nnx, given = self._nnx, self._given
        if isinstance(given, nnx.Module):
            return given
        rngs = nnx.Rngs(jax.random.wrap_key_data(key))
        by_name = "rngs" in inspect.signature(given).parameters
        made = given(rngs=rngs) if by_name else given(rngs)
        if not isinstance(made, nnx.Module):
            raise CaseError(f"{self._owner}: the function returns a {type(made).__name__}, expected an nnx.Module.")
        return made

    def _parts(self, module: Any) -> Any:
        _, trained, rest = self._nnx.split(module, self._trained, ...)
        return {"trained": trained, "rest": rest}


def _place(path: Path, leaf: Any) -> Place:
    part = part_of_weight(leaf) if path[0] == "trained" else Part.OTHER
    return part, path[1:-1] if path[-1] == "value" and len(path) > 2 else path[1:]
