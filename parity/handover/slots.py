"""Copy Optax's state into the slots of a Keras optimizer, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity.core.errors import UsageError
from parity.handover.updates import Counterpart

Trainable = list[tuple[str, Any]]
"""The parameters, and no batch statistics: leaf names and variables."""
COUNT = "count"
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
    slots = _slots(optimizer, trainable)
    placed: dict[tuple[str, str], np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for name, value in moments.items():
        at = place(name)
        if at[0] == COUNT:
            counts[name] = np.asarray(value)
        elif at not in slots or at in placed:
            raise UsageError(
                f"no slot of the Keras optimizer {type(optimizer).__name__} takes the moment {name}, expected one for "
                f"each of {_listed(f'{kind}/{leaf}' for kind, leaf in slots)}. {_OTHER_TRAINING}"
            )
        else:
            placed[at] = np.asarray(value)
    for (kind, leaf), slot in slots.items():
        if (kind, leaf) not in placed:
            raise UsageError(
                f"the slot {kind}/{leaf} of the Keras optimizer {type(optimizer).__name__} gets no moment; "
                f"there are {_listed(moments)}. {_OTHER_TRAINING}"
            )
        found, expected = (placed[kind, leaf].dtype.name, placed[kind, leaf].shape), (slot.dtype, tuple(slot.shape))
        if found != expected:
            raise UsageError(
                f"the moment {kind}/{leaf} is {found[0]}{list(found[1])}, expected {expected[0]}{list(expected[1])} "
                f"as its slot is. {_OTHER_TRAINING}"
            )
    wrong = [
        f"{name} is {value}" for name, value in counts.items() if value.dtype.kind != "i" or (value != steps).any()
    ]
    if wrong or not counts:
        raise UsageError(
            f"{_listed(wrong) if wrong else 'the state has no count'}, expected {steps}, the steps taken in JAX. "
            "Give the state and the steps of the same step of the training."
        )
    for at, slot in slots.items():
        slot.assign(placed[at])
    optimizer.iterations.assign(steps)


def carried(optimizer: Any, trainable: Trainable, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the slots by Optax's leaf names, counts as [] int32: what `carry` copied in, after training changed it.

    Raises:
        UsageError: a name that no slot answers to.
    """
    slots = _slots(optimizer, trainable)
    found = {}
    for name in names:
        at = place(name)
        if at[0] == COUNT:
            found[name] = np.asarray(optimizer.iterations.numpy(), np.int32)
        elif at in slots:
            found[name] = slots[at].numpy()
        else:
            raise UsageError(
                f"no slot of the Keras optimizer {type(optimizer).__name__} is {name}, expected one of "
                f"{_listed(f'{kind}/{leaf}' for kind, leaf in slots)}. {_OTHER_TRAINING}"
            )
    return found


def place(name: str) -> tuple[str, str]:
    """Return which moment a leaf is, and of which parameter; its place in a chain changes with Optax's releases."""
    parts = name.split("/")
    for i, part in enumerate(parts):
        if part in _MOMENTS:
            return part, "/".join(parts[i + 1 :])
    return (COUNT, "") if parts[-1] == COUNT else ("", name)


def _slots(optimizer: Any, trainable: Trainable) -> dict[tuple[str, str], Any]:
    if not isinstance(optimizer, Counterpart):
        raise UsageError(
            f"Keras' {type(optimizer).__name__} cannot carry Optax's moments, expected an "
            "optimizer that does what Optax's does. Make it with keras_optimizer."
        )
    if not optimizer.built:  # type: ignore[attr-defined]
        optimizer.build([variable for _, variable in trainable])  # type: ignore[attr-defined]
    several = {len(getattr(optimizer, slots)) for slots in optimizer.moments.values()} - {0, len(trainable)}
    if several:
        raise UsageError(
            f"the Keras optimizer {type(optimizer).__name__} was built for {several.pop()} variables, expected the "
            f"{len(trainable)} parameters. Build it for these and no batch statistics, or leave that to carry."
        )
    slots = {}
    for leaf, variable in trainable:
        try:
            slots.update({(kind, leaf): slot for kind, slot in optimizer.slots(variable).items()})
        except KeyError as error:
            raise UsageError(
                f"the Keras optimizer {type(optimizer).__name__} has no slot for the parameter {leaf}: "  # type: ignore[attr-defined]
                "it was built for others. Build it for these, or leave that to carry."
            ) from error
    return slots


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"
