"""A user's SavedModel as TensorFlow sees it: where it is, what it has, and how it is called by the leaves of a case."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.specs import by_name
from parity.core.errors import CaseError
from parity.export import artifact, bundles
from parity.export.bundles import Signature, StateLeaf
from parity.export.interface import DATA, KEY, LABELS, Endpoint, Held, Interface, Shape, Tensor

GRAPH = "saved_model.pb"
INTERFACE = "interface.json"
"""The file of a bundle that says what answers what; parity's own artifact needs none."""
_KERAS = (".keras", ".h5", ".hdf5")


def located(path: Path, what: str) -> Path:
    """Return the folder of the SavedModel at `path`: itself, or its only version, as model servers lay them out.

    Raises:
        CaseError: there is none, there are several, or it is of TensorFlow 1 or Keras.
    """
    if path.suffix in _KERAS:
        raise CaseError(
            f"{what} {path} is a file of Keras, expected the folder of a SavedModel. Write one: "
            f'keras.models.load_model({path.name!r}).export("folder").'
        )
    if not path.is_dir():
        there = "is a file" if path.exists() else "does not exist"
        raise CaseError(f"{what} {path} {there}. Expected the folder of a SavedModel, with {GRAPH} in it.")
    found = [path] if (path / GRAPH).is_file() else sorted(each.parent for each in path.glob(f"*/{GRAPH}"))
    if not found:
        raise CaseError(f"{what} {path} has no {GRAPH}. Expected the folder that tf.saved_model.save has written.")
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise CaseError(f"{what} {path} has several SavedModels: {names}. Expected one; name its folder.")
    _require_tf2(found[0], what)
    return found[0]


def _require_tf2(folder: Path, what: str) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        saved = saved_model_pb2.SavedModel.FromString((folder / GRAPH).read_bytes())
    except Exception as error:  # protobuf has no type stubs to name its error by
        raise CaseError(f"{what} {folder} is damaged: {GRAPH} cannot be read: {error}. Export it again.") from None
    if not any(len(graph.object_graph_def.nodes) for graph in saved.meta_graphs):
        raise CaseError(
            f"{what} {folder} is a SavedModel of TensorFlow 1, which has no objects. Write it with TensorFlow 2: "
            "tf.saved_model.save(module, path, signatures=...)."
        )


def copy(folder: Path, to: Path, link: bool = False) -> None:
    """Copy a SavedModel; with `link` its files are linked where the file system can, so that weights are there once."""

    def linked(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    shutil.copytree(folder, to, copy_function=linked if link else shutil.copyfile)


class Model:
    """A loaded SavedModel: its endpoints, its variables by path, and calls by name.

    Raises:
        RuntimeFailureError: this TensorFlow cannot load it.
    """

    def __init__(self, folder: Path) -> None:
        self.loaded = artifact.load(folder)
        self.variables = dict(_variables(self.loaded))
        self._calls: dict[str, tuple[Endpoint, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {}
        for name, concrete in self.loaded.signatures.items():
            self._add(name, concrete, concrete)
        for name, function in sorted(vars(self.loaded).items()):
            for concrete in getattr(function, "concrete_functions", ())[:1]:
                self._add(name if name not in self._calls else f"{name}()", concrete, function)

    def _add(self, name: str, concrete: Any, function: Callable[..., Any]) -> None:
        structure = concrete.structured_input_signature
        specs = [(path, leaf) for path, leaf in _leaves(structure) if isinstance(leaf, tf.TensorSpec)]
        names = [_input_name(path, spec) for path, spec in specs]
        if len(set(names)) < len(names):  # two arguments may be called alike
            names = ["/".join(path[1:]) for path, _ in specs]
        inputs = tuple(_tensor(name, spec) for name, (_, spec) in zip(names, specs, strict=True))
        outputs = tuple(
            _tensor("/".join(path) or "output", leaf) for path, leaf in _leaves(concrete.structured_outputs)
        )

        def call(given: Mapping[str, Any]) -> dict[str, Any]:
            tensors = iter([given[tensor.name] for tensor in inputs])
            arguments, named = _packed(
                structure, lambda leaf: next(tensors) if isinstance(leaf, tf.TensorSpec) else leaf
            )
            return {"/".join(path) or "output": leaf for path, leaf in _leaves(function(*arguments, **named))}

        self._calls[name] = (Endpoint(name, inputs, outputs), call)

    @property
    def endpoints(self) -> list[Endpoint]:
        """What it has, the signatures first."""
        return [endpoint for endpoint, _ in self._calls.values()]

    def call(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of an endpoint by name, for inputs by name."""
        return self._calls[name][1](given)

    def held(self) -> dict[str, Held]:
        """Return the values of the variables by path; texts, such as a vocabulary, are no weights."""
        numbers = {path: found for path, found in self.variables.items() if found.dtype != tf.string}
        return {path: Held(variable.numpy(), (variable.name,)) for path, variable in numbers.items()}


def _variables(loaded: Any) -> Iterator[tuple[str, Any]]:
    waiting, seen = [("", loaded)], set[int]()
    while waiting:
        path, found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, tf.Variable):
            yield path, found
            continue
        children = getattr(found, "_trackable_children", dict)  # the only way to the paths of a checkpoint
        waiting += [(f"{path}/{name}".strip("/"), child) for name, child in children().items()]


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, Mapping):
        for name in sorted(tree):
            yield from _leaves(tree[name], (*path, str(name)))
    elif isinstance(tree, list | tuple) and not isinstance(tree, tf.TensorShape):
        for index, each in enumerate(tree):
            yield from _leaves(each, (*path, str(index)))
    elif tree is not None:
        yield path, tree


def _packed(tree: Any, value: Callable[[Any], Any]) -> Any:
    """Return a structure with `value` of each leaf, in the order of `_leaves`."""
    if isinstance(tree, Mapping):
        done = {name: _packed(tree[name], value) for name in sorted(tree)}
        return {name: done[name] for name in tree}
    if isinstance(tree, list | tuple):
        return type(tree)(_packed(each, value) for each in tree)
    return None if tree is None else value(tree)


def _input_name(path: tuple[str, ...], spec: Any) -> str:
    """Return the name of an input of a function: below its argument, else its own; of a signature its keyword."""
    kind, *rest = path
    if kind == "1":
        return "/".join(rest)
    return "/".join(rest[1:]) or spec.name or rest[0]


def _tensor(name: str, spec: Any) -> Tensor:
    shape: Shape | None = None
    with suppress(ValueError):  # of unknown rank
        shape = tuple(spec.shape.as_list())
    return Tensor(name, spec.dtype.name, shape)


class Supplied:
    """A user's artifact with the functions and variables that parity's own has, as far as its interface goes.

    Args:
        model: the loaded SavedModel.
        interface: what answers what.
        leaves: of the case's state.
        make: makes inputs by name of the case's data, where the case has a function for that.

    Attributes:
        state_vars: by leaf of the state; one that the artifact does not have is a placeholder, and is not compared.
        rng: the key; a placeholder likewise.
        absent: the leaves of placeholders.
    """

    def __init__(
        self,
        model: Model,
        interface: Interface,
        leaves: tuple[StateLeaf, ...],
        make: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> None:
        self._model, self.interface, self._make = model, interface, make
        self.signatures = model.loaded.signatures
        self.state_vars = [self._variable(leaf.leaf) for leaf in leaves]
        self.rng = self._variable(KEY)
        self.absent = frozenset({KEY, *(leaf.leaf for leaf in leaves)} - set(interface.state))
        for name in interface.functions:
            setattr(self, name, self._function(name))

    def _variable(self, leaf: str) -> Any:
        path, absent = self.interface.state.get(leaf), np.zeros(2, np.uint32) if leaf == KEY else np.float32(0)
        return self._model.variables[path] if path else tf.Variable(absent, trainable=False)

    def _function(self, name: str) -> Callable[..., Any]:
        call = self.interface.functions[name]

        def function(data: Any, labels: Any = None) -> Any:
            given = (
                {f"{LABELS}/{leaf}": tensor for leaf, tensor in by_name(labels).items()} if labels is not None else {}
            )
            made = self._made(data) if self._make is not None else by_name(data)
            given |= {f"{DATA}/{leaf}": tensor for leaf, tensor in made.items()}
            found = self._model.call(call.name, {name: given[leaf] for name, leaf in call.inputs.items()})
            named = {leaf: found[name] for leaf, name in call.outputs.items()} or found
            return named if name == "predict" else next(iter(named.values()))

        return function

    def _made(self, data: Any) -> dict[str, Any]:
        arrays = {name: tensor.numpy() for name, tensor in by_name(data).items()}
        assert self._make is not None
        return {
            name: tf.constant(a)
            for name, a in self._make(arrays if isinstance(data, Mapping) else arrays[DATA]).items()
        }


def as_inputs(made: Any) -> dict[str, Any]:
    """Return what the function of a case makes of its data, by name: numpy arrays, of bytes where they are texts."""
    arrays = {name: np.asarray(a) for name, a in (made if isinstance(made, Mapping) else {DATA: made}).items()}
    return {name: a.astype(object) if a.dtype.kind in "SU" else a for name, a in arrays.items()}


def save(interface: Interface, folder: Path) -> None:
    """Write the interface of the artifact of a bundle."""
    (folder / INTERFACE).write_text(json.dumps(interface.to_json(), indent=1), encoding="utf-8")


def interface_of(bundle: Path) -> Interface | None:
    """Return the interface of the artifact of a bundle; None where parity has exported it."""
    path = bundle / INTERFACE
    return Interface.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def module(
    bundle: Path,
    signature: Signature,
    make: Callable[[Any], Mapping[str, Any]] | None = None,
    name: str = "saved_model",
) -> Any:
    """Return the artifact of a bundle, loaded anew, with the functions and variables of parity's own.

    Args:
        bundle: its folder.
        signature: of the case.
        make: see `Supplied`; None to read the inputs that the bundle stores.
        name: of the folder in the bundle.
    """
    interface = interface_of(bundle)
    if interface is None:
        return artifact.load(bundle / name)
    return Supplied(Model(bundle / name), interface, signature.state, make if interface.made_inputs else None)


def save_again(bundle: Path, folder: Path) -> None:
    """Write the artifact of a bundle to `folder`, as this TensorFlow loads it."""
    loaded = artifact.load(bundle / "saved_model")
    own = interface_of(bundle)
    serving = dict(loaded.signatures) if own is not None else loaded.signatures["serving_default"]
    differentiated = own is None or not own.evaluations <= {"predict", "accuracy"}
    artifact.save(loaded, folder / "saved_model", serving, gradients=differentiated)
    if own is not None:
        shutil.copyfile(bundle / INTERFACE, folder / INTERFACE)


def made_inputs(bundle: Path, size: int, lengths: str = "") -> Path:
    """Return the file of a bundle with what the function of the case makes of its examples."""
    return bundle / "made_inputs" / f"{'-'.join(filter(None, (f'b{size}', lengths)))}.npz"


def save_texts(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays by name; of texts, the bytes of all one after the other, and their lengths."""
    plain: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.dtype.kind != "O":
            plain[name] = array
            continue
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1)]
        plain[f"{name}@bytes"] = np.frombuffer(b"".join(texts), np.uint8)
        plain[f"{name}@lengths"] = np.array([len(text) for text in texts], np.int64).reshape(array.shape)
    bundles.save_arrays(path, plain)


def load_texts(path: Path) -> dict[str, Any]:
    """Read what `save_texts` wrote."""
    found = bundles.load_arrays(path)
    for name in [name.removesuffix("@lengths") for name in found if name.endswith("@lengths")]:
        lengths, data = found.pop(f"{name}@lengths"), found.pop(f"{name}@bytes").tobytes()
        ends = np.cumsum(lengths.reshape(-1))
        texts = np.empty(lengths.size, object)
        texts[:] = [data[end - length : end] for end, length in zip(ends, lengths.reshape(-1), strict=True)]
        found[name] = texts.reshape(lengths.shape)
    return found
