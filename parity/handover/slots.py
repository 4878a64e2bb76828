"""Copy Optax's state into the slots of a Keras optimizer, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity.core.errors import UsageError

Trainable = list[tuple[str, Any]]
"""The parameters, and no batch statistics: leaf names and variables."""
COUNT = ("count", "")
_MOMENTS = ("mu", "nu", "trace")
_OTHER_TRAINING = "Take the optimizer, the parameters and the state of the same training."


def carry(optimizer: Any, trainable: Trainable, moments: Mapping[str, np.ndarray], steps: int) -> None:
    """Put Optax's state into the slots of a Keras optimizer, and the count of steps into `iterations`.

    Args:
        optimizer: from `keras_optimizer`; built for `trainable` if it is not built yet.
        trainable: the parameters, and no batch statistics.
        moments: Optax's state by leaf name, such as `0/mu/Dense_0/kernel` and `0/count`.
        steps: the steps taken.

    Raises:
        UsageError: a moment of another shape or dtype, a moment that no slot takes or that is not there, or a count
            that is not `steps`. Nothing is overwritten then.
    """
    if not optimizer.built:
        optimizer.build([variable for _, variable in trainable])
    variables = _variables(optimizer, trainable, moments)
    counts = [name for name, variable in variables.items() if variable is optimizer.iterations]
    wrong = [f"{n} is {moments[n]}" for n in counts if moments[n].dtype.kind != "i" or (moments[n] != steps).any()]
    if wrong or not counts:
        raise UsageError(
            f"{_listed(wrong) if wrong else 'the state has no count'}, expected {steps}, the steps taken in JAX. "
            "Give the state and the steps of the same step of the training."
        )
    slots = {name: variable for name, variable in variables.items() if name not in counts}
    for name, slot in slots.items():
        found, expected = (f"{np.dtype(a.dtype).name}{list(a.shape)}" for a in (moments[name], slot))
        if found != expected:
            raise UsageError(f"the moment {name} is {found}, expected {expected} as its slot is. {_OTHER_TRAINING}")
    for name, slot in slots.items():
        slot.assign(moments[name])
    optimizer.iterations.assign(steps)


def carried(optimizer: Any, trainable: Trainable, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the slots by Optax's leaf names, counts as [] int32: what `carry` copied in, after training changed it.

    Raises:
        UsageError: a name that no slot answers to, or a slot without a name.
    """
    variables = _variables(optimizer, trainable, names)
    return {
        name: np.asarray(variable.numpy(), np.int32) if variable is optimizer.iterations else variable.numpy()
        for name, variable in variables.items()
    }


def place(name: str) -> tuple[str, str]:
    """Return which moment a leaf is, and of which parameter; its place in a chain changes with Optax's releases."""
    parts = name.split("/")
    for i, part in enumerate(parts):
        if part in _MOMENTS:
            return part, "/".join(parts[i + 1 :])
    return COUNT if parts[-1] == COUNT[0] else ("", name)


def _variables(optimizer: Any, trainable: Trainable, names: Iterable[str]) -> dict[str, Any]:
    """Return the variable that holds each of Optax's leaves: a slot, or `iterations` for a count of steps."""
    free = {(kind, leaf): slot for leaf, variable in trainable for kind, slot in optimizer.slots(variable).items()}
    slots, found = _listed(map("/".join, free)), {}
    for name in names:
        at = place(name)
        if at == COUNT:
            found[name] = optimizer.iterations
        elif at in free:
            found[name] = free.pop(at)
        else:
            raise UsageError(
                f"no slot of the Keras optimizer {type(optimizer).__name__} takes the moment {name}, expected one for "
                f"each of {slots}. {_OTHER_TRAINING}"
            )
    if free:
        raise UsageError(
            f"a slot of the Keras optimizer {type(optimizer).__name__} gets no moment: {_listed(map('/'.join, free))}. "
            f"{_OTHER_TRAINING}"
        )
    return found


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"
