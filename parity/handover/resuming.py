"""Training interrupted in TensorFlow and resumed: checkpoints, and what `python -m parity.handover` does."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from parity.cases.pipeline import Pipeline
from parity.cases.specs import Batch
from parity.core.errors import RecordError, UsageError
from parity.export import artifact, bundles
from parity.handover import EXPORTED
from parity.handover.continuing import Continuation, resume
from parity.handover.files import Handover

AGAIN = "exported_again"
SAVED, TRAINING = "saved", "training"

_CASE, _NAMES, _VARIABLE = (f"{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in ("case", "names", "variables/{}"))


def save(continuation: Continuation, path: Path) -> str:
    """Write a `tf.train.Checkpoint` of everything that training changes, under the prefix `path`; returns its name."""
    name: str = _checkpoint(continuation).write(str(path))
    return name


def restore(continuation: Continuation, path: Path) -> None:
    """Go on from a checkpoint that `save` wrote.

    Raises:
        RecordError: there is none, or it cannot be read.
        UsageError: it is of another case or optimizer, or of other shapes; nothing was overwritten.
    """
    try:
        reader = tf.train.load_checkpoint(str(path))
        case, names = reader.get_tensor(_CASE).decode(), [name.decode() for name in reader.get_tensor(_NAMES)]
        values = [reader.get_tensor(_VARIABLE.format(index)) for index in range(len(names))]
    except (tf.errors.OpError, ValueError, LookupError) as error:
        raise RecordError(f"{path} is no checkpoint of a training that goes on: {error}. Write it again.") from None
    wanted = continuation.handover.signature.case
    if case != wanted:
        raise UsageError(f"{path} is a checkpoint of case {case!r}, expected one of {wanted!r}. Name another.")
    if names != _names(continuation):
        differ = sorted(set(names) ^ set(_names(continuation)))
        what = f"{differ[0]} is on one side alone" if differ else "its variables stand in another order"
        raise UsageError(f"{path} is a checkpoint of another optimizer: {what}. Name another.")
    variables = continuation.variables()
    for name, value, variable in zip(names, values, variables, strict=True):
        found, expected = (f"{a.dtype.name}{list(a.shape)}" for a in (tf.convert_to_tensor(value), variable))
        if found != expected:
            raise UsageError(f"{path}: {name} is {found}, expected {expected}. Name a checkpoint of the same model.")
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)


def _checkpoint(continuation: Continuation) -> Any:
    return tf.train.Checkpoint(
        case=tf.Variable(continuation.handover.signature.case),
        names=tf.Variable(_names(continuation)),
        variables=continuation.variables(),
    )


def _names(continuation: Continuation) -> list[str]:
    """What the variables are, in order; Keras' slots after the artifact's own."""
    own = [*(s.leaf for s in continuation.handover.signature.state), "rng"]
    rest = [variable.name for variable in continuation.variables()[len(own) :]]
    return [*own, *(f"{type(continuation).__name__}/{name}" for name in rest)]


def begin(handover: Handover, folder: Path, names: list[str], steps: int) -> None:
    """Train on by every way and leave checkpoints; when told to on standard input, train until this process is killed.

    Says that it has left them, and after every step then that it trains.
    """
    batches = list(itertools.islice(_batches(handover), steps))
    for name in names:
        continuation = resume(name, handover)
        for batch in batches:
            continuation.step(batch)
        save(continuation, folder / name)
        if name == EXPORTED:
            module = continuation.module
            artifact.save(module, folder / AGAIN, module.signatures["serving_default"], gradients=False)
    print(SAVED, flush=True)
    if not sys.stdin.readline():
        return  # nobody is left to say so
    parent = os.getppid()
    for batch in itertools.cycle(batches):
        continuation.step(batch)
        print(TRAINING, flush=True)
        if os.getppid() != parent:
            return


def go_on(handover: Handover, folder: Path, names: list[str], steps: int) -> None:
    """Go on from the checkpoints and the second export, and leave the states that they lead to."""
    batches = list(itertools.islice(_batches(handover), steps, 2 * steps))
    for name in names:
        continuation = resume(name, handover)
        restore(continuation, folder / name)
        _finish(continuation, batches, folder / f"{name}.npz")
    if EXPORTED in names:
        _finish(resume(EXPORTED, handover, folder / AGAIN), batches, folder / f"{AGAIN}.npz")


def _batches(handover: Handover) -> Iterator[Batch]:
    return handover.batches(Pipeline(handover.examples(), handover.training))


def _finish(continuation: Continuation, batches: list[Batch], path: Path) -> None:
    for batch in batches:
        continuation.step(batch)
    bundles.save_arrays(path, {leaf: np.asarray(array) for leaf, array in continuation.state().items()})
