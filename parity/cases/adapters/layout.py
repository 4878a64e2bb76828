"""A model divided into parameters, other state and what is static, by the path of each leaf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import jax

from parity.cases.functions import leaf_name

Path = tuple[str, ...]


class Part(Enum):
    """Where a leaf belongs."""

    PARAMS = "params"
    OTHER = "other"
    STATIC = "static"


Place = tuple[Part, Path]


def path_of(keys: Any) -> Path:
    """Return the key path of a leaf as words, such as ("layers", "0", "kernel")."""
    return tuple(leaf_name((key,)) for key in keys)


def part_of_weight(leaf: Any) -> Part:
    """Return where a leaf among a model's weights belongs: what has no gradient is no parameter."""
    return Part.PARAMS if jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact) else Part.OTHER


@dataclass(frozen=True)
class Layout:
    """Where each leaf of a model belongs.

    Attributes:
        structure: of the whole model.
        places: the part of each leaf, and its path in it, by its path in the model, in order.
        static: the leaves that are neither parameters nor other state, by their path in the model.
    """

    structure: Any
    places: Mapping[Path, Place]
    static: Mapping[Path, Any]

    @classmethod
    def of(cls, model: Any, place: Callable[[Path, Any], Place]) -> Layout:
        """Return the layout of `model`, a pytree; `place` says where a leaf belongs, given its path and itself."""
        leaves, structure = jax.tree_util.tree_flatten_with_path(model)
        places = {path_of(keys): place(path_of(keys), leaf) for keys, leaf in leaves}
        static = {path_of(keys): leaf for keys, leaf in leaves if places[path_of(keys)][0] is Part.STATIC}
        return cls(structure, places, static)

    @property
    def has_other(self) -> bool:
        """Whether there is other state."""
        return any(part is Part.OTHER for part, _ in self.places.values())

    def divide(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return parameters and other state as nested dicts. What the model has beyond this layout is dropped."""
        trees: dict[Part, dict[str, Any]] = {part: {} for part in Part}
        for keys, leaf in jax.tree_util.tree_flatten_with_path(model)[0]:
            if (path := path_of(keys)) in self.places:
                part, where = self.places[path]
                _put(trees[part], where, leaf)
        return trees[Part.PARAMS], trees[Part.OTHER]

    def join(self, params: Any, other: Any) -> Any:
        """Invert `divide`."""
        trees = {Part.PARAMS: params, Part.OTHER: other}
        leaves = [
            self.static[path] if part is Part.STATIC else _get(trees[part], where)
            for path, (part, where) in self.places.items()
        ]
        return jax.tree_util.tree_unflatten(self.structure, leaves)


def _put(tree: dict[str, Any], path: Path, leaf: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf


def _get(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree[name]
    return tree
