"""What of a user's SavedModel answers what: guessed from shapes, dtypes and names, and corrected by the case.

Plain data and numpy: `supplied` describes the SavedModel and calls it.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from parity.cases.artifacts import FUNCTIONS, Artifact
from parity.cases.specs import SOLE, signature_name
from parity.core.errors import CaseError

Shape = tuple[int | None, ...]
DATA, LABELS = "data", "labels"
KEY = "key"
"""The name of the random key among variables."""
SERVING = "serving_default"
EVALUATES = {"predict": "predict", "accuracy": "accuracy", "eval_loss": "evaluate", "train_loss": "train"}
"""The evaluation that a function of the artifact computes."""


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, its dtype ("string" for bytes), and its shape with None for what is not fixed."""

    name: str
    dtype: str
    shape: Shape | None

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype}[{sizes}]"


@dataclass(frozen=True)
class Endpoint:
    """A signature or function of a SavedModel."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def __str__(self) -> str:
        given, found = (", ".join(map(str, tensors)) for tensors in (self.inputs, self.outputs))
        return f"{self.name}({given}) -> ({found})"


@dataclass(frozen=True)
class Expected:
    """An array that the case gives or wants: its dtype, and its shape at two batch sizes."""

    dtype: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def fits(self, tensor: Tensor) -> bool:
        """Return whether a tensor of the artifact can be this array, at both batch sizes."""
        return tensor.dtype == self.dtype and (tensor.shape is None or all(map(tensor_fits(tensor.shape), self.shapes)))

    def __str__(self) -> str:
        one, two = self.shapes
        sizes = one if len(one) != len(two) else ("b" if a != b else str(a) for a, b in zip(one, two, strict=True))
        return f"{self.dtype}[{', '.join(map(str, sizes))}]"


def tensor_fits(shape: Shape) -> Callable[[tuple[int, ...]], bool]:
    """Return a function that says whether an array of a shape fills `shape`."""
    return lambda found: len(found) == len(shape) and all(s in (None, f) for s, f in zip(shape, found, strict=True))


@dataclass(frozen=True)
class Call:
    """How an endpoint is called.

    Attributes:
        name: of the endpoint.
        inputs: by its input, the leaf of the case: `data/x` or `labels/y`.
        outputs: by leaf of the case, its output.
    """

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Interface:
    """What answers what.

    Attributes:
        functions: by name of `FUNCTIONS`, how it is called.
        state: by leaf of the state, the path of the variable that has it; empty until there are values.
        not_compared: leaves of the state that the case leaves out.
        has_variables: whether a variable may have a leaf, or the weights are constants.
        complete: whether every leaf of the state can have a variable of its shape and dtype.
        further: what fits `predict` as well, and is not asked.
        made_inputs: whether a function of the case makes the inputs: the bundle then stores them.
    """

    functions: dict[str, Call]
    state: dict[str, str] = field(default_factory=dict)
    not_compared: tuple[str, ...] = ()
    has_variables: bool = False
    complete: bool = False
    further: tuple[str, ...] = ()
    made_inputs: bool = False

    @property
    def evaluations(self) -> frozenset[str]:
        """The evaluations that the artifact computes."""
        return frozenset(EVALUATES[name] for name in self.functions)

    def to_json(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interface:
        """Invert `to_json`."""
        calls = {name: Call(**call) for name, call in data["functions"].items()}
        lists = {name: tuple(data[name]) for name in ("not_compared", "further")}
        return cls(**{**data, **lists, "functions": calls})

    def shown(self) -> dict[str, str]:
        """Return the mapping in words, by what is asked."""
        found = {}
        for name, call in self.functions.items():
            given = ", ".join(f"{name}={leaf}" for name, leaf in call.inputs.items())
            results = ", ".join(f"{leaf}={name}" for leaf, name in call.outputs.items())
            found[name] = f"{call.name}({given}) gives {results or 'what the case makes of its outputs'}"
        found |= {f"state {leaf}": f"variable {path}" for leaf, path in self.state.items()}
        if self.further:
            found["what fits predict as well, and is not asked,"] = ", ".join(self.further)
        return found


def guess(
    endpoints: Sequence[Endpoint],
    corrections: Artifact,
    inputs: Mapping[str, Expected],
    labels: Mapping[str, Expected],
    outputs: Mapping[str, Expected],
    what: str,
) -> Interface:
    """Return which endpoint answers what; without the state.

    Args:
        endpoints: of the artifact.
        corrections: what the case says.
        inputs: what the case's data fill, or what its function makes of them, by name.
        labels: likewise, by leaf.
        outputs: what JAX predicts, by leaf.
        what: the artifact, for messages.

    Raises:
        CaseError: nothing answers `predict`, or a correction names what is not there or does not fit.
    """
    named = {endpoint.name: endpoint for endpoint in endpoints}
    data = {f"{DATA}/{leaf}": expected for leaf, expected in inputs.items()}
    both = {**data, **{f"{LABELS}/{leaf}": expected for leaf, expected in labels.items()}}
    functions: dict[str, Call] = {}
    fitting: list[str] = []
    for function in FUNCTIONS:
        if function in corrections.functions:
            chosen = corrections.functions[function]
            if chosen is None:
                continue
            if chosen not in named:
                raise CaseError(f"{what} has no {chosen!r} for {function}. It has: {_listed(endpoints)}.")
            candidates = [named[chosen]]
        else:
            candidates = [endpoint for endpoint in endpoints if function == "predict" or _means(endpoint, function)]
        given = data if function == "predict" else both
        wanted = outputs if function == "predict" else {SOLE: Expected("float32", ((), ()))}
        tried = [(endpoint, _call(endpoint, given, wanted, corrections, function, what)) for endpoint in candidates]
        calls = sorted((call for _, call in tried if isinstance(call, Call)), key=_preference)
        if function in corrections.functions and not calls:
            raise CaseError(f"{what}: {candidates[0]} does not fit {function}: {tried[0][1]}.")
        if calls:
            functions[function] = calls[0]
        if function == "predict":
            fitting = [call.name for call in calls[1:]]
            if not calls:
                raise _nothing_predicts(endpoints, [str(why) for _, why in tried], data, outputs, corrections, what)
    asked = {call.name for call in functions.values()}
    further = tuple(name for name in fitting if name not in asked)
    return Interface(functions, further=further, made_inputs=callable(corrections.inputs))


def _means(endpoint: Endpoint, function: str) -> bool:
    """Return whether an endpoint is a loss or an accuracy by its name: scalars look alike."""
    aliases = {"eval_loss": ("eval_loss", "loss"), "train_loss": ("train_loss",), "accuracy": ("accuracy",)}
    return endpoint.name in aliases[function]


def _preference(call: Call) -> tuple[int, str]:
    """What a server calls first, then what is named after the question."""
    return [SERVING, "predict", call.name].index(call.name), call.name


def _nothing_predicts(
    endpoints: Sequence[Endpoint], reasons: Iterable[str], data: Mapping[str, Expected],
    outputs: Mapping[str, Expected], corrections: Artifact, what: str,
) -> CaseError:  # fmt: skip
    if not endpoints:
        return CaseError(
            f"{what} has no signature and no function. Save it with signatures, such as "
            'tf.saved_model.save(module, path, signatures={"serving_default": function}).'
        )
    wanted = ", ".join(f"{leaf}: {found}" for leaf, found in data.items())
    answered = "what Artifact.outputs takes" if callable(corrections.outputs) else ", ".join(
        f"{leaf}: {found}" for leaf, found in outputs.items()
    )  # fmt: skip
    found = "; ".join(f"{endpoint}: {why}" for endpoint, why in zip(endpoints, reasons, strict=True))
    return CaseError(
        f"{what} does not predict what the case does: nothing in it takes ({wanted}) and gives ({answered}). "
        f"It has {found}. Give the artifact of this model, or say what is what: Artifact(functions=..., inputs=..., "
        "outputs=...)."
    )


def _call(
    endpoint: Endpoint,
    given: Mapping[str, Expected],
    wanted: Mapping[str, Expected],
    corrections: Artifact,
    function: str,
    what: str,
) -> Call | str:
    """Return how an endpoint is called, or why it does not fit."""
    renamed = {} if callable(corrections.inputs) else {f"{DATA}/{k}": name for k, name in corrections.inputs.items()}
    if unknown := [leaf for leaf in renamed if leaf not in given]:
        raise CaseError(f"{what}: Artifact.inputs has {unknown[0]!r}. The case's inputs are {', '.join(given)}.")
    inputs = assigned(given, endpoint.inputs, renamed, "input", everything=True)
    if isinstance(inputs, str):
        return inputs
    by_input = {name: leaf for leaf, name in inputs.items()}
    if function != "predict":
        fitting = [tensor.name for tensor in endpoint.outputs if wanted[SOLE].fits(tensor)]
        leaf = "accuracy" if function == "accuracy" else "loss"
        return Call(endpoint.name, by_input, {leaf: fitting[0]}) if len(fitting) == 1 else "it gives no one scalar"
    if callable(corrections.outputs):
        return Call(endpoint.name, by_input, {})
    if unknown := [leaf for leaf in corrections.outputs if leaf not in wanted]:
        raise CaseError(f"{what}: Artifact.outputs has {unknown[0]!r}. The case's outputs are {', '.join(wanted)}.")
    outputs = assigned(wanted, endpoint.outputs, corrections.outputs, "output", everything=False)
    return outputs if isinstance(outputs, str) else Call(endpoint.name, by_input, outputs)


def assigned(
    expected: Mapping[str, Expected], tensors: Sequence[Tensor], renamed: Mapping[str, str], kind: str, everything: bool
) -> dict[str, str] | str:
    """Return the tensor of each leaf, by name: as the case says, by its name, or as the only one that fits.

    Returns:
        The names, or why there is no such assignment.
    """
    left, found = {tensor.name: tensor for tensor in tensors}, dict[str, str]()
    for leaf, name in renamed.items():
        if name not in left:
            return f"it has no {kind} {name!r}"
        if not expected[leaf].fits(left[name]):
            return f"its {kind} {left[name]} is not {expected[leaf]}"
        found[leaf] = left.pop(name).name
    for leaf in (leaf for leaf in expected if leaf not in found):
        alike = [t for t in left.values() if signature_name(t.name, kind) in _names(leaf, kind)]
        if len(alike) == 1 and expected[leaf].fits(alike[0]):
            found[leaf] = left.pop(alike[0].name).name
    for leaf in (leaf for leaf in expected if leaf not in found):
        fitting = [tensor for tensor in left.values() if expected[leaf].fits(tensor)]
        if not fitting:
            return f"it has no {kind} {expected[leaf]} for {leaf}"
        if len(fitting) > 1 and not all(tensor.name.isdecimal() for tensor in fitting):
            names = " or ".join(tensor.name for tensor in fitting)
            return f"{leaf} could be its {kind} {names}: say which"
        found[leaf] = left.pop(fitting[0].name).name
    if left and everything:
        return f"the case has nothing for its {kind} {next(iter(left.values()))}"
    return found


def _names(leaf: str, kind: str) -> set[str]:
    tail = leaf.removeprefix(f"{DATA}/").removeprefix(f"{LABELS}/")
    return {signature_name(leaf, kind), signature_name(tail, kind), signature_name(tail)}


def _listed(endpoints: Iterable[Endpoint]) -> str:
    return "; ".join(map(str, endpoints)) or "nothing"


@dataclass(frozen=True)
class Held:
    """A variable of the artifact: its value, and the names that it goes by beside its path."""

    value: Any
    names: tuple[str, ...] = ()


def match_state(
    leaves: Mapping[str, Any], held: Mapping[str, Held], corrections: Mapping[str, str | None], what: str
) -> dict[str, str]:
    """Return the path of the variable of each leaf, by value: names decide only between equal values.

    A leaf whose value is nowhere gets the variable of its name, or else of its shape and dtype, so that the two can be
    compared; one without any is left out.

    Args:
        leaves: JAX's arrays by leaf.
        held: the variables by path.
        corrections: by leaf, the path or name of its variable, or None.
        what: the artifact, for messages.

    Raises:
        CaseError: a correction names a leaf or a variable that is not there.
    """
    found = dict[str, str]()
    for leaf, name in corrections.items():
        if leaf not in leaves:
            raise CaseError(f"{what}: Artifact.state has {leaf!r}. The leaves are {', '.join(leaves)}.")
        paths = [path for path, variable in held.items() if name in (path, *variable.names)]
        if name is not None and len(paths) != 1:
            raise CaseError(f"{what} has no variable {name!r} for {leaf}, or several. It has {', '.join(held)}.")
        found |= dict.fromkeys([leaf] if name is not None else [], "".join(paths))
    asked = {leaf: array for leaf, array in leaves.items() if leaf not in corrections}
    own = {path: _leaf_named(variable, path, leaves) for path, variable in held.items()}
    bits = {path: _bits(variable.value) for path, variable in held.items()}
    wanted = {leaf: _bits(array) for leaf, array in asked.items()}
    rules: tuple[Callable[[str, Any, str], bool], ...] = (
        lambda leaf, array, path: own[path] == leaf and bits[path] == wanted[leaf],
        lambda leaf, array, path: own[path] is None and bits[path] == wanted[leaf],
        lambda leaf, array, path: own[path] == leaf,
        lambda leaf, array, path: own[path] is None and _kind(held[path].value) == _kind(array),
        lambda leaf, array, path: own[path] is None and held[path].value.size == array.size,
    )
    for rule in rules:
        for leaf, array in asked.items():
            if leaf in found:
                continue
            taken = set(found.values())
            fitting = [path for path in held if path not in taken and rule(leaf, array, path)]
            if fitting:
                found[leaf] = max(fitting, key=lambda path: _likeness(leaf, path, held[path]))
    return {leaf: found[leaf] for leaf in leaves if leaf in found}


def _kind(array: Any) -> tuple[Any, ...]:
    return array.dtype, array.shape


def _bits(array: Any) -> tuple[Any, ...]:
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return array.dtype.name, array.shape, hashlib.blake2b(data, digest_size=20).digest()


def _plain(name: str) -> str:
    return re.sub(r"[./]+", "/", name.partition(":")[0]).strip("/")


def _leaf_named(variable: Held, path: str, leaves: Iterable[str]) -> str | None:
    """Return the leaf that a variable is named after; None for a name such as `Variable:0`, which says nothing."""
    names = [f"/{_plain(name)}" for name in (path, *variable.names)]
    alike = [leaf for leaf in leaves if any(name.endswith(f"/{_plain(leaf)}") for name in names)]
    return max(alike, key=len, default=None)


def _likeness(leaf: str, path: str, variable: Held) -> float:
    return max(difflib.SequenceMatcher(None, leaf, _plain(name)).ratio() for name in (path, *variable.names))


def can_hold(shapes: Iterable[tuple[Any, ...]], held: Iterable[tuple[Any, ...]]) -> bool:
    """Return whether there is a variable of its own for every leaf, by dtype and shape."""
    free = list(held)
    for shape in shapes:
        if shape not in free:
            return False
        free.remove(shape)
    return True
