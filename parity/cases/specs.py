"""Shapes and dtypes of the inputs of a case, and batches of them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from parity.core.arrays import Answer, Array
from parity.core.errors import InputError

__all__ = ["Answer", "Array", "Batch", "Spec", "Specs"]

BATCH = "b"
_MEANT = ("batch", "batch_size", "B", "N", "n")
"""What the batch size is called elsewhere."""
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
    """An input array, with names for the sizes that are not fixed: `Spec("b", "t", 64)`, `Spec("b", dtype="int32")`.

    "b" is the batch size, wherever it stands: `Spec("t", "b", 64)`. Every other name is a further size. A name means
    the same size in all specs of a case; `Case.constraints` says what sizes are allowed. `Spec(4)` does not carry the
    batch, and `Spec()` is a scalar.

    Attributes:
        shape: whole numbers above 0, and names of sizes, each at most once.
        dtype: the name of a numeric dtype of numpy or ml_dtypes, of 8 to 32 bits (complex64 has two parts of 32); of up
            to 64 where `jax_enable_x64` is on.

    Raises:
        InputError: a dimension is neither, or the dtype is unknown, not numeric, narrower or wider.
    """

    shape: tuple[str | int, ...]
    dtype: str

    def __init__(self, *shape: str | int, dtype: str = "float32") -> None:
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", _numeric(dtype, f"Spec{shape}"))
        _require_width(self.dtype, f"Spec{shape}")
        for dimension in shape:
            _require_dimension(dimension, f"Spec{shape}", BATCH in shape)
        if len(self.symbols) < sum(isinstance(dimension, str) for dimension in shape):
            raise InputError(
                f"Spec{shape} names a size twice. Give the second another name, and say that they are equal in "
                'Case(constraints=("s == t",)).'
            )

    @classmethod
    def stored(cls, shape: Iterable[str | int], dtype: str) -> Spec:
        """Return a spec that a file has; its dtype may be wider than JAX's here, or JAX be absent.

        Raises:
            InputError: as for any other.
        """
        spec = cls(*shape, dtype=_NARROWER.get(dtype, dtype))
        object.__setattr__(spec, "dtype", dtype)
        return spec

    @property
    def symbols(self) -> frozenset[str]:
        """The names of its sizes that are not fixed."""
        return frozenset(dimension for dimension in self.shape if isinstance(dimension, str))

    def axis(self, symbol: str = BATCH) -> int | None:
        """Return the axis of the size of that name; None where it has none."""
        return self.shape.index(symbol) if symbol in self.symbols else None

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with the numbers of `sizes` for its names."""
        return tuple(sizes[dimension] if isinstance(dimension, str) else dimension for dimension in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def _require_dimension(dimension: Any, where: str, has_batch: bool) -> None:
    if isinstance(dimension, str):
        if dimension in _MEANT and not has_batch:
            raise InputError(
                f'{where} has the dimension {dimension!r}. Expected "{BATCH}", as the batch size is called.'
            )
        if not re.fullmatch(r"[a-z][a-zA-Z0-9_]*", dimension):
            raise InputError(
                f"{where} has the dimension {dimension!r}. Expected a name that starts with a small letter, and has "
                'letters, digits and underscores, such as "t".'
            )
    elif isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
        raise InputError(
            f'{where} has the dimension {dimension!r}. Expected a whole number above 0, "{BATCH}" for the batch size, '
            'or another name for a size that is not fixed, such as "t".'
        )


def _require_width(dtype: str, where: str) -> None:
    jax = sys.modules.get("jax")  # who has not imported it has not turned 64 bits on
    if dtype in _NARROWER and not (jax is not None and jax.config.jax_enable_x64):
        raise InputError(
            f"{where} has dtype {dtype}; JAX computes in 32 bits unless told otherwise. Give {_NARROWER[dtype]}, and "
            'convert the data with .astype; or turn on jax.config.update("jax_enable_x64", True) before.'
        )


def _numeric(dtype: str, where: str) -> str:
    try:
        found = dtype_of(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "biufcV" or found.name.startswith("void"):
        raise InputError(f"{where} has dtype {dtype!r}. Expected a numeric one, such as 'float32', 'int32' or 'bool'.")
    if found.type.__module__ != "numpy" and found.name != "bfloat16":
        raise InputError(
            f"{where} has dtype {found.name}. Expected bfloat16, or a dtype of numpy's own of at most 32 bits. Give "
            "int8, uint8 or bfloat16, and convert with .astype in the functions of the case."
        )
    return found.name


Specs = Spec | Mapping[str, Spec]
"""One array, or named arrays: what every nested structure is kept as, see `parity.cases.structure`."""


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


def shown(value: Any) -> str:
    """Return what a function gave for a message, an array by dtype and shape: `float32[3]`, `{a: int32[], b: None}`."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {shown(part)}" for name, part in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(shown, value))})"
    return f"{value!r:.200}"


def outputs(predicted: Any) -> dict[str, Any]:
    """Return what `predict` returned, by leaf name; one array alone is `output`."""
    return dict(predicted) if isinstance(predicted, Mapping) else {"output": predicted}


def signature_name(leaf: str, kind: str = SOLE) -> str:
    """Return a leaf name as a signature has it: `obs/a` is `obs_a`; `0` has its kind before it, as in `data_0`."""
    name = re.sub(r"\W", "_", leaf, flags=re.ASCII)
    return name if name[:1].isalpha() else f"{kind}_{name}"


def written(sizes: Mapping[str, int]) -> str:
    """Return sizes as the variant of a plan item names them, such as `s=7,t=15`."""
    return ",".join(f"{name}={size}" for name, size in sizes.items())


@dataclass(frozen=True)
class Batch:
    """Examples of a case.

    Attributes:
        data: one numpy array [b, ...], or a pytree of them, as `Case.data` describes them.
        labels: likewise, as `Case.labels` describes them; None where it is None.
        specs: of data and labels, where the batch does not come first; None where it does. Set by parity.
    """

    data: Any
    labels: Any
    specs: tuple[Specs, Specs] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of examples, from the first array that carries the batch."""
        axes = self._axes(BATCH)
        arrays = (*by_name(self.data).values(), *by_name(self.labels).values())
        return next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every name in the specs, the batch first; of the batch alone without specs."""
        if self.specs is None:
            return {BATCH: self.size}
        arrays = (*by_name(self.data).values(), *by_name(self.labels).values())
        pairs = zip(arrays, self._each_spec(), strict=True)
        found = {name: array.shape[spec.axis(name)] for array, spec in pairs for name in sorted(spec.symbols)}
        return {BATCH: found.pop(BATCH, 0), **dict(sorted(found.items()))}

    @property
    def lengths(self) -> str:
        """The sizes beside the batch size, such as `s=7,t=15`; empty where there are none."""
        return written({name: size for name, size in self.sizes.items() if name != BATCH})

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of every array."""
        return tuple(array.shape for tree in (self.data, self.labels) for array in by_name(tree).values())

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
        return self.rows(slice(size))

    def rows(self, chosen: Any) -> Batch:
        """Return the examples that an index, a slice or an array of indices chooses."""
        return self.along(lambda array, axis: array[(slice(None),) * axis + (chosen,)])

    def along(self, function: Callable[[Array, int], Any], symbol: str = BATCH) -> Batch:
        """Apply `function` to every array that has the size `symbol`, and its axis; others stay as they are."""
        axes = self._axes(symbol)
        return self.map(lambda array: array if (axis := next(axes)) is None else function(array, axis))

    def sliced(self, sizes: Mapping[str, int]) -> Batch:
        """Return the start of every array along the named axes, as long as `sizes` says."""
        found = self
        for symbol, size in sizes.items():
            found = found.along(lambda a, axis, size=size: a[(slice(None),) * axis + (slice(size),)], symbol)  # type: ignore[misc]
        return found

    def map(self, function: Any) -> Batch:
        """Apply `function` to every array, in order of names: first of data, then of labels."""

        def over(tree: Any) -> Any:
            return {k: function(tree[k]) for k in sorted(tree)} if isinstance(tree, Mapping) else function(tree)

        return replace(self, data=over(self.data), labels=over(self.labels))

    def _axes(self, symbol: str) -> Iterator[int | None]:
        if self.specs is not None:
            return (spec.axis(symbol) for spec in self._each_spec())
        return iter([0] * (len(by_name(self.data)) + len(by_name(self.labels))))

    def _each_spec(self) -> Iterator[Spec]:
        return (spec for specs in self.specs or () for spec in by_name(specs).values())


def validate(batch: Batch, data: Specs, labels: Specs, owner: str) -> None:
    """Check that `batch` fills the specs of `owner`.

    Raises:
        InputError: a name, shape or dtype differs, the batch is empty, or arrays differ in a size of one name.
    """
    sizes: dict[str, int] = {}
    for kind, specs, arrays in (("data", data, batch.data), ("labels", labels, batch.labels)):
        expected, given = by_name(specs), by_name(arrays)
        if list(expected) != list(given):
            raise InputError(
                f"{owner}: {kind} has {list(given)}, expected {list(expected)}. Name the arrays as the case does."
            )
        for name, spec in expected.items():
            _validate_array(given[name], spec, f"{owner}: {kind} {name!r}")
    for kind, specs, arrays in (("data", data, batch.data), ("labels", labels, batch.labels)):
        named = by_name(arrays)
        for name, spec in by_name(specs).items():
            for symbol in sorted(spec.symbols):
                _require_same(sizes, symbol, named[name].shape[spec.axis(symbol)], f"{owner}: {kind} {name!r}")


def _require_same(sizes: dict[str, int], symbol: str, size: int, what: str) -> None:
    known = sizes.setdefault(symbol, size)
    if known == size:
        return
    if symbol == BATCH:
        raise InputError(f"{what} has {size} rows, other inputs have {known}. Give every input the same number.")
    raise InputError(f'{what} has {size} for "{symbol}", other inputs have {known}. Give every input the same size.')


def _validate_array(array: Any, spec: Spec, what: str) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"{what} is a {type(array).__name__}, expected a numpy array {spec}.")
    found = shown(array)
    if array.dtype.name != spec.dtype:
        raise InputError(f"{what} is {found}, expected {spec}. Convert it with .astype({spec.dtype!r}).")
    fits = len(array.shape) == len(spec.shape) and all(
        isinstance(expected, str) or size == expected for size, expected in zip(array.shape, spec.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{what} is {found}, expected {spec}. Reshape the data, or correct the case's spec.")
    for symbol in sorted(spec.symbols):
        if not array.shape[spec.axis(symbol) or 0]:
            least = "a batch size" if symbol == BATCH else f'a size "{symbol}"'
            raise InputError(f"{what} is empty. Expected {least} of at least 1.")
