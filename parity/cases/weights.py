"""Weights from a file, in place of those that a case initialises."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from parity.core.errors import CaseError

COLLECTIONS = ("params", "batch_stats")
"""First parts of names in a file that the leaves of a case need not have: collections of Flax."""


def load(path: str | PathLike[str], owner: str) -> dict[str, np.ndarray]:
    """Return the arrays in a file by leaf name, such as `Dense_0/kernel`.

    Args:
        path: a `.npz`, `.safetensors` or `.msgpack` file, or a folder that orbax wrote. In names `.` or `/` divides.
        owner: the case, for messages.

    Raises:
        CaseError: there is no such file, it cannot be read, or what reads it is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise CaseError(
            f"{owner}: weights={str(path.resolve())!r} does not exist. Expected a file or a folder of orbax."
        )
    read = _orbax if path.is_dir() else _READERS.get(path.suffix)
    if read is None:
        expected = ", ".join(_READERS)
        raise CaseError(f"{owner}: weights={str(path)!r}: expected one of {expected}, or a folder that orbax wrote.")
    try:
        return _named(read(path))
    except ImportError as error:
        raise CaseError(f"{owner}: {path.name} needs the package {error.name}. Install it.") from error
    except Exception as error:
        raise CaseError(f"{owner}: {path} cannot be read: {type(error).__name__}: {error}.") from error


def _npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _safetensors(path: Path) -> Any:
    from safetensors.flax import load_file

    return load_file(path)


def _msgpack(path: Path) -> Any:
    from flax.serialization import msgpack_restore

    return msgpack_restore(path.read_bytes())


def _orbax(path: Path) -> Any:
    import orbax.checkpoint

    checkpointer = orbax.checkpoint.PyTreeCheckpointer()
    return checkpointer.restore(path.resolve())


_READERS: dict[str, Callable[[Path], Any]] = {".npz": _npz, ".safetensors": _safetensors, ".msgpack": _msgpack}


def _named(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of nested mappings and lists by path."""
    if isinstance(tree, (list, tuple)):
        tree = {str(index): value for index, value in enumerate(tree)}
    if not isinstance(tree, Mapping):
        return {} if tree is None else {prefix[:-1]: np.asarray(tree)}
    found: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        inner = _named(value, f"{prefix}{name}/") if isinstance(value, (Mapping, list, tuple)) else None
        found |= {f"{prefix}{str(name).replace('.', '/')}": np.asarray(value)} if inner is None else inner
    return found


def fill(leaves: Mapping[str, Any], given: Mapping[str, np.ndarray], owner: str) -> dict[str, np.ndarray]:
    """Return the weights of a case.

    Args:
        leaves: what the case initialises, by leaf name.
        given: the arrays of a file, by leaf name; the collection of Flax may come first. Keys and counts may be absent.
        owner: the case, for messages.

    Raises:
        CaseError: a leaf is missing or too many, or has another shape or dtype.
    """
    stripped: dict[str, np.ndarray] = {}
    for name, array in given.items():
        leaf = _without_collection(name, leaves)
        if leaf in stripped:
            raise CaseError(f"{owner}: the weights have {leaf} twice, with and without a collection. Expected it once.")
        stripped[leaf] = array
    missing = [name for name, leaf in leaves.items() if name not in stripped and not _is_key_or_count(leaf)]
    further = [name for name in stripped if name not in leaves]
    if missing or further:
        like = difflib.get_close_matches(missing[0], further, 1, 0.3) if missing and further else []
        hint = f" Is {like[0]} meant for {missing[0]}?" if like else ""
        differ = "; ".join(filter(None, [_listed("missing", missing), _listed("not in the case", further)]))
        raise CaseError(
            f"{owner}: the weights are those of another model: {differ}.{hint} Name them as the leaves of the case."
        )
    filled = {name: stripped.get(name, leaf) for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        array = filled[name]
        if (array.shape, array.dtype) != (np.shape(leaf), leaf.dtype):
            raise CaseError(
                f"{owner}: weight {name} is {array.dtype.name}{list(array.shape)}, the case has "
                f"{leaf.dtype.name}{list(np.shape(leaf))}. Expected the weights of this model."
            )
    return filled


def _is_key_or_count(leaf: Any) -> bool:
    """Return whether a leaf is a random key or a counter, which files of weights lack."""
    return bool(leaf.dtype == np.uint32 or (leaf.dtype.kind in "iu" and not np.shape(leaf)))


def _without_collection(name: str, leaves: Mapping[str, Any]) -> str:
    first, _, rest = name.partition("/")
    return rest if name not in leaves and first in COLLECTIONS and rest else name


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}: {', '.join(names[:3])}{more}"
