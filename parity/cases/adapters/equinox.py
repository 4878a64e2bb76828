"""Cases of Equinox modules."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from parity.cases.adapters.building import case_of, key_shape, library, require_model
from parity.cases.adapters.calling import Call
from parity.cases.adapters.inputs import Inputs
from parity.cases.adapters.layout import Layout, Part, Path, Place, part_of_weight, path_of
from parity.cases.adapters.losses import Loss
from parity.cases.case import Case
from parity.cases.specs import shown
from parity.core.errors import CaseError


def from_equinox(
    name: str,
    model: Any,
    loss: str | Loss,
    *,
    data: Any,
    labels: Any,
    dataset: Callable[[], Any],
    batched: bool = False,
    axis_name: str = "batch",
    call: Callable[..., Any] | None = None,
    accuracy: Loss | None = None,
    served: Callable[[Any], Any] | None = None,
    **fields: Any,
) -> Case:
    """Return the case of an Equinox module.

    Arrays of floats are parameters; other arrays and what an `equinox.nn.State` holds are other state; all else, such
    as activation functions, is static. `equinox.nn.inference_mode` is on but in training.

    A module is called for one example at a time, by `jax.vmap`, because that is how Equinox's own layers are written.
    This is not found out by trying: some modules take both, and compute different things.

    Args:
        name: letters, digits and underscores.
        model: `model(key) -> module`, such as `lambda key: Model(8, key=key)`, also as `make_with_state` returns it; or
            a module that is made already, or a pair of it and its state, whose values then do not depend on the seed. A
            parameter `key` of the module's call gets a key per example in training, and `state` gets the state.
        loss: the name of a loss of optax, such as "squared_error", or `loss(outputs, labels)`, which returns a scalar
            or a loss per example; it gets whole batches, and the mean is taken.
        data: `Spec` of the input, or a dict of them by the names of the parameters of `__call__`.
        labels: `Spec` of the labels likewise.
        dataset: `dataset() -> Dataset`.
        batched: whether the module takes whole batches.
        axis_name: of the batch, for `equinox.nn.BatchNorm`.
        call: `call(module, data)` for a module that is called in another way. It gets whole batches, and by name those
            of `state`, `key` (None in prediction) and `train` that it has as parameters. It returns outputs, or outputs
            and state if the module has a state.
        accuracy: `accuracy(outputs, labels)`, a scalar or a hit per example. Derived where a named loss takes one
            integer or one-hot label per example.
        served: `served(outputs)`, what `predict` answers, such as `jax.nn.softmax`; the outputs by default.
        fields: further fields of `Case`, such as `training`, `frozen` or `limit`. Without `probes` all that apply.

    Raises:
        CaseError: Equinox is not installed, this makes no Equinox module, the module cannot be called with such inputs,
            or there is no such loss.
    """
    equinox = library("equinox", "from_equinox", "equinox")
    owner = f"case {name!r}"
    accepted = isinstance(model, equinox.Module) or callable(model) or _is_pair(equinox, model)
    require_model(owner, "from_equinox", model, "a module, or a function of a key that makes one", accepted)
    network = _Equinox(owner, equinox, model, Inputs(data, dataset), call, None if batched else axis_name)
    return case_of(name, network, loss, labels=labels, dataset=dataset, accuracy=accuracy, served=served, **fields)


class _Equinox:
    def __init__(self, owner: str, equinox: Any, model: Any, inputs: Inputs, method: Any, axis: str | None) -> None:
        self._owner, self._equinox, self._given, self.inputs = owner, equinox, model, inputs
        self._method, self._axis = method, axis
        self._stateful = False
        self.hint = "" if method or axis is None else "It is called for one example; batched=True passes whole batches."

    def layout(self) -> Layout:
        made = self._equinox.filter_eval_shape(self.make, key_shape())
        module, state = made["model"], made["state"]
        self._stateful = bool(jax.tree_util.tree_leaves(state))
        if self._method:
            function, data = functools.partial(self._method, module), None
        else:
            function, data = module.__call__, self.inputs.specs
        self._call = Call.of(self._owner, function, data, ("state", "key"))
        if self._stateful and "state" not in self._call.reserved:
            raise CaseError(
                f"{self._owner}: {type(module).__name__} has a state, and its call has no parameter 'state'. Expected "
                "__call__(self, x, state), which returns outputs and state."
            )
        names = self._state_names(module)

        def place(path: Path, leaf: Any) -> Place:
            if path[0] == "state":
                index = int(path[1])
                return Part.OTHER, (*(names[index] if index < len(names) else path[:2]), *path[2:])
            part = part_of_weight(leaf) if hasattr(leaf, "dtype") else Part.STATIC
            return part, path[1:]

        return Layout.of(made, place)

    def _state_names(self, module: Any) -> list[Path]:
        """Return where in the module each entry of its state is used, in the order of the state."""
        index = self._equinox.nn.StateIndex
        names: dict[Any, Path] = {}
        for keys, leaf in jax.tree_util.tree_flatten_with_path(module, is_leaf=lambda node: isinstance(node, index))[0]:
            if isinstance(leaf, index):
                names.setdefault(leaf.marker, path_of(keys))
        return list(names.values())

    def make(self, key: Any) -> Any:
        given, equinox = self._given, self._equinox
        if not isinstance(given, equinox.Module) and not _is_pair(equinox, given):
            given = given(key=key) if "key" in inspect.signature(given).parameters else given(key)
        if not _is_pair(equinox, given):
            if not isinstance(given, equinox.Module):
                raise CaseError(f"{self._owner}: the function returns {shown(given)}, expected an equinox.Module.")
            module = given
            given = equinox.nn.make_with_state(lambda: module)()
        return {"model": given[0], "state": given[1]}

    def run(self, model: Any, data: Any, rng: Any, train: bool) -> tuple[Any, Any]:
        module, state = self._equinox.nn.inference_mode(model["model"], value=not train), model["state"]
        if self._method:
            passed = {**self._reserved(state, rng), **self._call.mode(train)}
            found = self._checked(self._method(module, data, **passed))
        elif self._axis is None:
            found = self._one(module, state, train, data, rng)
        else:
            axes, size = (0, None) if self._stateful else 0, self.inputs.examples(data)
            keys = None if rng is None else _keys(rng, size)
            each = jax.vmap(
                lambda data, key: self._one(module, state, train, data, key),
                in_axes=(self.inputs.axes, None if rng is None else 0), out_axes=axes, axis_name=self._axis,
            )  # fmt: skip
            with _mean_over(self._axis, size):
                found = each(data, keys)
        if not self._stateful:
            return found, model
        return found[0], {**model, "state": found[1]}

    def _one(self, module: Any, state: Any, train: bool, data: Any, key: Any) -> Any:
        arguments, named = self._call.inputs(data)
        return self._checked(module(*arguments, **named, **self._reserved(state, key), **self._call.mode(train)))

    def _checked(self, found: Any) -> Any:
        if self._stateful and not _is_pair(self._equinox, found):
            raise CaseError(f"{self._owner}: the model has a state, and returns none. Return outputs and state.")
        return found

    def _reserved(self, state: Any, key: Any) -> dict[str, Any]:
        """Return the state, if there is one, and a key, for parameters that have these names.

        A model that requires a key draws nothing from it in inference, and always gets the same.
        """
        passed = {"state": state} if self._stateful else {}
        if "key" in self._call.reserved:
            if key is not None:
                passed["key"] = key
            elif self._call.required("key"):
                passed["key"] = None if self._method else jax.random.PRNGKey(0)
        return passed


def _is_pair(equinox: Any, made: Any) -> bool:
    return isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], equinox.nn.State)


def _keys(rng: Any, size: Any) -> Any:
    """Return a key for each of `size` examples, which does not depend on how many there are."""
    return jax.vmap(lambda example: jax.random.fold_in(rng, example))(jnp.arange(size))


_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def _mean_over(axis: str, size: Any) -> Iterator[None]:
    """Let `jax.lax.pmean`, which `equinox.nn.BatchNorm` calls, take a symbolic number of examples along `axis`.

    JAX cannot: "Symbolic dimension 'b' used in a context that requires a constant", seen up to jax 0.10.2. The mean is
    then one over an axis of an array, as JAX itself has it once `jax.vmap` is done.
    """
    if isinstance(size, int):
        yield
        return

    @jax.custom_batching.custom_vmap
    def mean(leaf: Any) -> Any:
        return leaf

    @mean.def_vmap
    def over(axis_size: Any, in_batched: Any, leaf: Any) -> Any:
        if isinstance(axis_size, int):  # an axis within an example, such as channels
            return mean(leaf), True
        return leaf.mean(0), False

    original = jax.lax.pmean

    def pmean(x: Any, axis_name: Any, **options: Any) -> Any:
        mine = axis_name == axis and not any(options.values())
        return jax.tree_util.tree_map(mean, x) if mine else original(x, axis_name, **options)

    with _ONE_AT_A_TIME, mock.patch.object(jax.lax, "pmean", pmean):
        yield
