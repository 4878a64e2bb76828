"""A user's artifact with the case that it is of: planned before training, copied into a bundle, or exported anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from parity.cases import layout, symbols
from parity.cases.case import Case, State
from parity.cases.specs import BATCH, Batch, Specs, by_name
from parity.compat.causes import failed
from parity.core.errors import CaseError, ParityError
from parity.export import interface, supplied
from parity.export.conversion import remedied, state_leaves
from parity.export.interface import KEY, Expected, Interface


def what(case: Case) -> str:
    """Return how messages name the artifact of a case."""
    by = "the artifact that its export has written" if case.export else "the artifact"
    return f"case {case.name!r}: {by}"


def export(case: Case, state: State | None, folder: Path, readable_by: str | None = None) -> Path:
    """Return the SavedModel that a case has, or that its `export` writes of its state into the new `folder`.

    Raises:
        CaseError: there is no SavedModel there, or several.
        RuntimeFailureError: the user's function raised.
    """
    if case.export is None:
        if readable_by is not None:
            raise CaseError(
                f"{what(case)} was made elsewhere, and parity cannot export it under a remedy. Export it within "
                f"parity.readable_by({readable_by!r}), or give Case(export=...)."
            )
        path = case.corrections.folder
        assert path is not None
        return supplied.located(path, what(case))
    folder.mkdir(parents=True)
    try:
        with remedied(readable_by):
            case.export(state, folder)
    except ParityError:
        raise
    except Exception as error:
        raise failed(f"case {case.name!r}: export(state, folder) failed", error) from error
    if not any(folder.iterdir()):
        raise CaseError(
            f"case {case.name!r}: export(state, folder) wrote nothing into the folder. It is called for every export, "
            "by default and under a remedy, each time with another empty folder: write the SavedModel into that one."
        )
    written = sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob(supplied.GRAPH))
    if len(written) > 1:
        raise CaseError(
            f"case {case.name!r}: export(state, folder) wrote several SavedModels: {', '.join(written)}. Write one."
        )
    return supplied.located(folder, what(case))


def interface_of(case: Case, state: State, folder: Path, examples: Batch) -> Interface:
    """Return what of a SavedModel answers what, as far as shapes, dtypes and names tell; leaves are matched by value.

    Args:
        case: the case, with flat inputs.
        state: its trained state.
        folder: of the SavedModel.
        examples: of the case.

    Raises:
        CaseError: nothing predicts what the case does, or a correction is wrong.
        RuntimeFailureError: this TensorFlow cannot load the SavedModel.
    """
    model, own = supplied.Model(folder), case.corrections
    others = {name: size for name, size in examples.sizes.items() if name != BATCH}
    allowed = symbols.batch_sizes(case.constraints, others, examples.size)
    sizes = [size for size, _ in zip(allowed, range(2), strict=False)]
    abstract = layout.abstract_state(case)
    predicted = [layout.traced(case, abstract, {**others, BATCH: size}) for size in sizes]
    inputs = _of_specs(case.data, [{**others, BATCH: size} for size in sizes])
    if callable(own.inputs):
        made = [supplied.as_inputs(_made(case, examples.take(size).data)) for size in sizes]
        inputs = {name: _expected([each[name] for each in made]) for name in made[0]}
    found = interface.guess(
        model.endpoints,
        own,
        inputs,
        _of_specs(case.labels, [{**others, BATCH: size} for size in sizes]),
        {leaf: _expected([each[leaf] for each in predicted]) for leaf in predicted[0]},
        what(case),
    )
    held, leaves = model.held(), _leaves(state)
    complete = interface.can_hold(map(_kind, leaves.values()), [_kind(variable.value) for variable in held.values()])
    if "train_loss" in found.functions or KEY in own.state:
        leaves[KEY] = np.asarray(state.rng)
    mapped = interface.match_state(leaves, held, own.state, what(case))
    return replace(
        found,
        state=mapped,
        not_compared=tuple(leaf for leaf, name in own.state.items() if name is None),
        has_variables=bool(mapped.keys() - {KEY}),
        complete=complete and None not in own.state.values(),
    )


def _leaves(state: State) -> dict[str, Any]:
    values = jax.tree_util.tree_leaves((state.params, state.other))
    return {leaf.leaf: np.asarray(value) for leaf, value in zip(state_leaves(state), values, strict=True)}


def _kind(array: Any) -> tuple[Any, ...]:
    return array.dtype, array.shape


def _made(case: Case, data: Any) -> Any:
    made: Any = case.corrections.inputs
    try:
        return made(data)
    except Exception as error:
        raise failed(f"case {case.name!r}: Artifact.inputs(data) failed", error) from error


def _of_specs(specs: Specs, sizes: list[dict[str, int]]) -> dict[str, Expected]:
    return {
        leaf: Expected(spec.dtype, (spec.sized(sizes[0]), spec.sized(sizes[-1])))
        for leaf, spec in by_name(specs).items()
    }


def _expected(arrays: list[Any]) -> Expected:
    dtype = np.dtype(arrays[0].dtype)
    name = "string" if dtype.kind in "OSU" else dtype.name
    return Expected(name, (tuple(arrays[0].shape), tuple(arrays[-1].shape)))


def save(case: Case, folder: Path, source: Path, found: Interface, batches: Iterable[tuple[Batch, str]]) -> None:
    """Write the SavedModel in `source` to a bundle, as what trains and what predicts, with its interface.

    Args:
        case: what it is of.
        folder: of the bundle.
        source: of the SavedModel.
        found: its interface.
        batches: the examples that the bundle stores, with their lengths where these are not the examples' own.
    """
    supplied.copy(source, folder / "saved_model")
    supplied.copy(folder / "saved_model", folder / "inference", link=True)
    supplied.save(found, folder)
    if found.made_inputs:
        for batch, lengths in batches:
            made = supplied.as_inputs(_made(case, batch.data))
            supplied.save_texts(supplied.made_inputs(folder, batch.size, lengths), made)
