"""Nested inputs and outputs, kept as one array or one flat dict by leaf name.

A case may take and give any pytree. Everything behind `flattened`, from training to the SavedModel, sees one array, or
a dict from the leaf names of `functions.leaf_name` to arrays: a process without JAX cannot know a user's classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from parity.cases.case import Case, Dataset
from parity.cases.specs import SOLE, Spec, by_name, described, signature_name
from parity.core.errors import CaseError, InputError


def flattened(case: Case) -> Case:
    """Return `case` with flat inputs, labels and outputs; its functions are called with the user's own structure.

    Raises:
        CaseError: an input is no `Spec`, none carries the batch, or two have the same name.
    """
    data, labels = (_Structure(case.name, kind, getattr(case, kind)) for kind in ("data", "labels"))
    if all(spec.axis() is None for spec in by_name(data.specs).values()):
        raise CaseError(
            f"case {case.name!r}: data {described(data.specs)} does not carry the batch size. Expected at least one "
            'input with the dimension "b", such as Spec("b", 4).'
        )

    def loss(params: Any, other: Any, rng: Any, x: Any, y: Any, train: bool) -> Any:
        return case.loss(params, other, rng, data.nested(x), labels.nested(y), train)

    def predict(state: Any, x: Any) -> Any:
        return flat_outputs(case.predict(state, data.nested(x)), case.name)

    def accuracy(state: Any, x: Any, y: Any) -> Any:
        of: Any = case.accuracy
        return of(state, data.nested(x), labels.nested(y))

    def trunk(params: Any, other: Any, rng: Any, x: Any, train: bool) -> Any:
        of: Any = case.trunk
        return of(params, other, rng, data.nested(x), train)

    def dataset() -> Any:
        found = case.dataset()
        if not isinstance(found, Dataset):
            return found
        return Dataset(
            *(replace(b, data=data.flat(b.data), labels=labels.flat(b.labels)) for b in vars(found).values())
        )

    def like(original: Callable[..., Any], wrapper: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(original)(wrapper) if callable(original) else original

    return replace(
        case,
        data=data.specs,
        labels=labels.specs,
        loss=case.loss and like(case.loss, loss),
        predict=like(case.predict, predict),
        accuracy=case.accuracy and like(case.accuracy, accuracy),
        trunk=case.trunk and like(case.trunk, trunk),
        dataset=case.dataset if data.is_flat and labels.is_flat else like(case.dataset, dataset),
    )


class _Structure:
    """The structure of the inputs or labels of a case.

    Attributes:
        specs: one spec, or specs by leaf name.
        is_flat: whether the user's own structure is the flat one.
    """

    def __init__(self, case: str, kind: str, tree: Any) -> None:
        self._what = f"case {case!r}: {kind}"
        self.is_flat = _is_flat(tree)
        if self.is_flat:
            self.specs: Any = tree
            _require_distinct(self._what, list(by_name(tree)), "data")
            return
        self._names, leaves, self._structure = _flatten(tree)
        for name, leaf in zip(self._names, leaves, strict=True):
            if not isinstance(leaf, Spec):
                raise CaseError(
                    f'{self._what} {name!r} is {leaf!r}, expected a Spec. Give Spec("b", ...) for every array; '
                    "register a class of your own with jax.tree_util."
                )
        self.specs = self._flat(leaves)
        _require_distinct(self._what, self._names, "data")

    def flat(self, arrays: Any) -> Any:
        """Return arrays of the user's structure as the flat one.

        Raises:
            InputError: they have another structure.
        """
        if self.is_flat:
            return arrays
        import jax

        try:
            return self._flat(self._structure.flatten_up_to(arrays))
        except (ValueError, TypeError):
            found: Any = [name or SOLE for name in _flatten(arrays)[0]]
            expected: Any = self._names
            if found == expected:
                found, expected = jax.tree_util.tree_structure(arrays), self._structure
            raise InputError(
                f"{self._what} has {found}, expected {expected}. Give the arrays in the structure of the specs."
            ) from None

    def nested(self, flat: Any) -> Any:
        """Invert `flat`."""
        if self.is_flat:
            return flat
        import jax

        named = by_name(flat)
        return jax.tree_util.tree_unflatten(self._structure, [named[name] for name in self._names])

    def _flat(self, leaves: list[Any]) -> dict[str, Any]:
        return dict(zip(self._names, leaves, strict=True))


def _is_flat(tree: Any) -> bool:
    if isinstance(tree, Spec):
        return True
    return type(tree) is dict and all(isinstance(k, str) and isinstance(spec, Spec) for k, spec in tree.items())


def flat_outputs(predicted: Any, case: str) -> Any:
    """Return what a user's `predict` returned as one array, or arrays by leaf name.

    Raises:
        CaseError: two leaves have the same name.
    """
    import jax

    names, leaves, structure = _flatten(predicted)
    if structure == jax.tree_util.tree_structure(0):
        return leaves[0]
    _require_distinct(f"case {case!r}: the outputs of predict", names, "output")
    return dict(zip(names, leaves, strict=True))


def _flatten(tree: Any) -> tuple[list[str], list[Any], Any]:
    import jax

    from parity.cases.functions import leaf_name

    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    return [leaf_name(path) for path, _ in found], [leaf for _, leaf in found], structure


def _require_distinct(what: str, names: list[str], kind: str) -> None:
    served: dict[str, str] = {}
    for name in names:
        key = signature_name(name, kind)
        if key in served:
            both = f"two leaves named {name}" if served[key] == name else f"{served[key]} and {name}"
            raise CaseError(f"{what}: {both} would both be {key!r} in the signature that a server calls. Rename a key.")
        served[key] = name


__all__ = ["flat_outputs", "flattened"]
