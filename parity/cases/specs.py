"""Shapes and dtypes of the inputs of a case, and batches of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.core.arrays import Answer, Array
from parity.core.errors import InputError

__all__ = ["Answer", "Array", "Batch", "Spec", "Specs"]

BATCH = "b"
MOST_BYTES = 4
"""The size of the widest real number with which JAX computes by default."""
SOLE = "data"
"""The name of the only input of a case whose data is one array, and of the only label likewise."""
_NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


def dtype_of(name: str) -> np.dtype:
    """Return the dtype of that name; numpy learns bfloat16 from ml_dtypes, which comes with jax and tensorflow."""
    try:
        return np.dtype(name)
    except TypeError:
        with contextlib.suppress(ImportError):
            import ml_dtypes  # noqa: F401
        return np.dtype(name)


@dataclass(frozen=True)
class Spec:
    """An input array with a symbolic batch size: `Spec("b", 28, 28, 1)`, or `Spec("b", dtype="int32")`.

    Attributes:
        shape: "b", the batch size, and then whole numbers above 0.
        dtype: the name of a numeric dtype of numpy or ml_dtypes, of at most 32 bits (complex64 has two such parts).

    Raises:
        InputError: the shape does not start with "b", another dimension is no whole number above 0, or the dtype is
            unknown, not numeric or wider.
    """

    shape: tuple[str | int, ...]
    dtype: str

    def __init__(self, *shape: str | int, dtype: str = "float32") -> None:
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", _numeric(dtype, f"Spec{shape}"))
        if not shape or shape[0] != BATCH:
            raise InputError(
                f'Spec{shape} does not start with the batch size. Expected "{BATCH}" and then whole numbers, '
                f'such as Spec("{BATCH}", 28, 28, 1).'
            )
        for dimension in shape[1:]:
            if not isinstance(dimension, int) or dimension < 1:
                raise InputError(
                    f'Spec{shape} has the dimension {dimension!r}. Expected whole numbers above 0 after "{BATCH}": '
                    "no other dimension is symbolic. Pad the data to one size."
                )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def _numeric(dtype: str, where: str) -> str:
    try:
        found = dtype_of(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "biufcV" or found.name.startswith("void"):
        raise InputError(f"{where} has dtype {dtype!r}. Expected a numeric one, such as 'float32', 'int32' or 'bool'.")
    if found.name in _NARROWER:
        raise InputError(
            f"{where} has dtype {found.name}; JAX computes in 32 bits unless told otherwise. "
            f"Give {_NARROWER[found.name]}, and convert the data with .astype."
        )
    return found.name


Specs = Spec | Mapping[str, Spec]
"""One array, or named arrays."""


def by_name(tree: Any) -> dict[str, Any]:
    """Return `tree`, one thing or a mapping of named things, as a mapping in order of names."""
    return {name: tree[name] for name in sorted(tree)} if isinstance(tree, Mapping) else {SOLE: tree}


def like(specs: Specs, named: Mapping[str, Any]) -> Any:
    """Invert `by_name`: return one thing where `specs` is one array, else a mapping."""
    return dict(named) if isinstance(specs, Mapping) else named[SOLE]


def described(specs: Specs) -> str:
    """Return specs for a message, such as `float32[b, 4]` or `{user: int32[b], context: float32[b, 4]}`."""
    if isinstance(specs, Spec):
        return str(specs)
    return "{" + ", ".join(f"{name}: {spec}" for name, spec in by_name(specs).items()) + "}"


def outputs(predicted: Any) -> dict[str, Any]:
    """Return what `predict` returned, by leaf name; one array alone is `output`."""
    return dict(predicted) if isinstance(predicted, Mapping) else {"output": predicted}


@dataclass(frozen=True)
class Batch:
    """Examples of a case.

    Attributes:
        data: one numpy array [b, ...], or a dict of named ones, as `Case.data` describes them.
        labels: likewise, as `Case.labels` describes them.
    """

    data: Any
    labels: Any

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(next(iter(by_name(self.data).values())))

    def take(self, size: int) -> Batch:
        """Return the first `size` examples.

        Raises:
            InputError: `size` is not between 1 and the number of examples.
        """
        if not 1 <= size <= self.size:
            raise InputError(
                f"batch size {size}: expected 1 to {self.size}, the number of examples in the test set. "
                "Choose another --batch-size."
            )
        return self.map(lambda array: array[:size])

    def map(self, function: Any) -> Batch:
        """Apply `function` to every array."""

        def over(tree: Any) -> Any:
            return {k: function(v) for k, v in tree.items()} if isinstance(tree, Mapping) else function(tree)

        return Batch(over(self.data), over(self.labels))


def validate(batch: Batch, data: Specs, labels: Specs, owner: str) -> None:
    """Check that `batch` fills the specs of `owner`.

    Raises:
        InputError: a name, shape or dtype differs, the batch is empty, or arrays differ in length.
    """
    for kind, specs, arrays in (("data", data, batch.data), ("labels", labels, batch.labels)):
        expected, given = by_name(specs), by_name(arrays)
        if list(expected) != list(given):
            raise InputError(
                f"{owner}: {kind} has {list(given)}, expected {list(expected)}. Name the arrays as the case does."
            )
        for name, spec in expected.items():
            _validate_array(given[name], spec, f"{owner}: {kind} {name!r}")
    for kind, arrays in (("data", batch.data), ("labels", batch.labels)):
        for name, array in by_name(arrays).items():
            if len(array) != batch.size:
                raise InputError(
                    f"{owner}: {kind} {name!r} has {len(array)} rows, other inputs have {batch.size}. "
                    "Give every input the same number."
                )


def _validate_array(array: Any, spec: Spec, what: str) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"{what} is a {type(array).__name__}, expected a numpy array {spec}.")
    found = f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"
    if array.dtype.name != spec.dtype:
        raise InputError(f"{what} is {found}, expected {spec}. Convert it with .astype({spec.dtype!r}).")
    if array.ndim != len(spec.shape) or array.shape[1:] != spec.shape[1:]:
        raise InputError(f"{what} is {found}, expected {spec}. Reshape the data, or correct the case's spec.")
    if not len(array):
        raise InputError(f"{what} is empty. Expected a batch size of at least 1.")
