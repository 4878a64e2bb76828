"""State: every variable of a loaded model is JAX's own, to the bit. The last bit of one weight is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from parity.cases.case import TEST_SET
from parity.probes.declaration import Probe, Scope
from parity.records import QUICK, PlanItem
from parity.runtimes import registry
from parity.runtimes.base import Variable, Variables
from parity.scoring.rules import LeafResult, pass_or_fail

if TYPE_CHECKING:
    from parity.export.interface import Interface
    from parity.runtimes.subject import Subject

INFERENCE = "inference/"
"""Prefix of the variables of the artifact that only predicts."""


def results(subject: Subject, runtime: str) -> list[LeafResult]:
    """Return a result for every variable of a runtime, and of the artifact that only predicts where it reads that.

    Raises:
        RuntimeFailureError: the runtime cannot load the model.
    """
    from parity.export import artifact
    from parity.runtimes._tensorflow import KEY, of_module

    opened, expected = subject.runtime(runtime), of_jax(subject)
    if subject.interface is not None:
        return compare(*_of_user(opened.variables(), expected, subject.interface), absent=_CONSTANT)
    found = compare(opened.variables(), expected)
    if runtime == registry.reader().name:
        module = artifact.load(opened.model.require_bundle() / "inference")
        without_key = {leaf: variable for leaf, variable in expected.items() if leaf != KEY}
        found += compare(of_module(module, opened.model), without_key, INFERENCE)
    return found


def foreign(subject: Subject, runtime: str) -> list[str]:
    """Return the leaves of which a user's own artifact has other values than JAX; none where it cannot be asked."""
    if subject.interface is None or not subject.capabilities(runtime).variables:
        return []
    found, asked = _of_user(subject.runtime(runtime).variables(), of_jax(subject), subject.interface)
    return [leaf for leaf, variable in found.items() if _difference(variable, asked[leaf])]


def _of_user(found: Variables, expected: Variables, interface: Interface) -> tuple[Variables, Variables]:
    """Return what a user's artifact has, which may have further variables, of every leaf of JAX that is asked of it."""
    from parity.runtimes._tensorflow import KEY

    keyed = "train_loss" in interface.functions
    asked = {
        leaf: variable for leaf, variable in expected.items()
        if leaf not in interface.not_compared and (keyed or leaf != KEY)
    }  # fmt: skip
    # Whether a variable is to be trained is the user's to say, and no wrong value.
    values = {leaf: Variable(found[leaf].value, wanted.trainable) for leaf, wanted in asked.items() if leaf in found}
    return values, asked


def of_jax(subject: Subject) -> Variables:
    """Return the trained state as variables: parameters are trainable, the other state and the key are not."""
    import jax

    from parity.export.conversion import state_leaves
    from parity.runtimes._tensorflow import KEY

    state = subject.trained.state
    values = jax.tree_util.tree_leaves((state.params, state.other))
    named = zip(state_leaves(state), values, strict=True)
    found = {leaf.leaf: Variable(np.asarray(value), leaf.trainable) for leaf, value in named}
    return {**found, KEY: Variable(np.asarray(state.rng), False)}


_CONSTANT = (
    "has no variable in the artifact. A constant in its graph cannot be compared: leave it out, "
    "Artifact(state={{{!r}: None}})"
)


def compare(
    found: Variables, expected: Variables, prefix: str = "", absent: str = "is not in the loaded model"
) -> list[LeafResult]:
    """Return a result for every variable that one of the two has, with `prefix` before its name.

    `absent` is what is said of one that was not found; its name may be in it.
    """
    names = dict.fromkeys([*expected, *found])
    differences = {
        name: _difference(found[name], expected.get(name)) if name in found else absent.format(name) for name in names
    }
    return [
        pass_or_fail(f"{prefix}{name}", text and text + _origin(name, found.get(name), expected))
        for name, text in differences.items()
    ]


def _origin(name: str, found: Variable | None, expected: Variables) -> str:
    """Return where the values of a wrong variable are from, where they are JAX's: another leaf, or another order."""
    own = expected.get(name)
    if found is None or own is None or found.value.size < 2:
        return ""
    for other, variable in expected.items():
        value, same = variable.value, other != name and _kind(variable) == _kind(found)
        if same and value.tobytes() == found.value.tobytes():
            return f"; it has the values of {other}"
    if found.value.dtype != own.value.dtype or found.value.size != own.value.size:
        return ""
    mine, theirs = (rows[np.lexsort(rows.T)] for rows in (_bytes(found.value), _bytes(own.value)))
    return "; it has JAX's values in another order" if np.array_equal(mine, theirs) else ""


def _kind(variable: Variable) -> tuple[object, ...]:
    return variable.value.dtype, variable.value.shape


def _difference(found: Variable, expected: Variable | None) -> str | None:
    """Return how a variable differs from JAX's own; None where it does not."""
    if expected is None:
        return "is not in JAX's state"
    value, own = found.value, expected.value
    if (value.shape, value.dtype) != (own.shape, own.dtype):
        return f"is {value.dtype}{list(value.shape)}, expected {own.dtype}{list(own.shape)}"
    if found.trainable is not expected.trainable:
        return f"is {'' if found.trainable else 'not '}trainable, expected the contrary"
    differs = np.flatnonzero((_bytes(value) != _bytes(own)).any(axis=-1))
    if not differs.size:
        return None
    first = tuple(map(int, np.unravel_index(differs[0], own.shape)))
    return (
        f"differs from JAX's in {differs.size:,} of {own.size:,} values, first at {list(first)}: "
        f"{value[first]!s}, expected {own[first]!s}"
    )


def _bytes(array: np.ndarray) -> np.ndarray:
    """Return the bytes of each element, [size, bytes]."""
    return np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, array.dtype.itemsize)


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.having(lambda can: can.variables):
        ident = f"{scope.case.name}-{runtime}"
        yield scope.item(probe.name, probe.name, runtime, TEST_SET, ident=ident)


PROBE = Probe(name="state", plan=_plan, level=QUICK)
