"""Checkpoints of training in TensorFlow, and the commands of `python -m parity.handover` that use them."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

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
"""Lines on standard output: the checkpoints are written; one more step was taken."""

_CASE, _NAMES, _VARIABLE = (f"{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in ("case", "names", "variables/{}"))


def save(continuation: Continuation, path: Path) -> str:
    """Write a `tf.train.Checkpoint` of every variable that training changes; return its name, which begins with `path`.

    It holds `case` and `names`, strings, and `variables`, in the order of `names`.
    """
    name: str = tf.train.Checkpoint(
        case=tf.Variable(continuation.handover.signature.case),
        names=tf.Variable(_names(continuation)),
        variables=continuation.variables(),
    ).write(str(path))
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
    if case != (expected := continuation.handover.signature.case):
        raise UsageError(f"{path} is a checkpoint of case {case!r}, expected one of {expected!r}. Name another.")
    if names != (expected_names := _names(continuation)):
        differ = sorted(set(names) ^ set(expected_names))
        what = f"{differ[0]} is on one side alone" if differ else "its variables stand in another order"
        raise UsageError(f"{path} is a checkpoint of another optimizer: {what}. Name another.")
    variables = continuation.variables()
    for name, value, variable in zip(names, values, variables, strict=True):
        found, own = (f"{a.dtype.name}{list(a.shape)}" for a in (tf.convert_to_tensor(value), variable))
        if found != own:
            raise UsageError(f"{path}: {name} is {found}, expected {own}. Name a checkpoint of the same model.")
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)


def _names(continuation: Continuation) -> list[str]:
    """Return the names of the variables in order: the artifact's, then the optimizer's."""
    own = [*(s.leaf for s in continuation.handover.signature.state), "rng"]
    rest = [variable.name for variable in continuation.variables()[len(own) :]]
    return [*own, *(f"{type(continuation).__name__}/{name}" for name in rest)]


def begin_command(handover: Handover, folder: Path, methods: list[str], steps: int) -> None:
    """Train on by every method and write checkpoints; after a line on standard input, train until killed.

    Print `SAVED` after the checkpoints, and `TRAINING` after every later step.
    """
    batches = list(itertools.islice(_batches(handover), steps))
    for method in methods:
        continuation = resume(method, handover)
        for batch in batches:
            continuation.step(batch)
        save(continuation, folder / method)
        if method == EXPORTED:
            module = continuation.module
            artifact.save(module, folder / AGAIN, module.signatures["serving_default"], gradients=False)
    print(SAVED, flush=True)
    if not sys.stdin.readline():
        return  # the parent process has ended
    parent = os.getppid()
    for batch in itertools.cycle(batches):
        continuation.step(batch)
        print(TRAINING, flush=True)
        if os.getppid() != parent:
            return


def resume_command(handover: Handover, folder: Path, methods: list[str], steps: int) -> None:
    """Resume from the checkpoints and from the second export, and write the states after as many steps again."""
    batches = list(itertools.islice(_batches(handover), steps, 2 * steps))

    def finish(continuation: Continuation, name: str) -> None:
        for batch in batches:
            continuation.step(batch)
        bundles.save_arrays(folder / f"{name}.npz", continuation.state())

    for method in methods:
        continuation = resume(method, handover)
        restore(continuation, folder / method)
        finish(continuation, method)
    if EXPORTED in methods:
        finish(resume(EXPORTED, handover, folder / AGAIN), AGAIN)


def _batches(handover: Handover) -> Iterator[Batch]:
    return handover.batches(Pipeline(handover.examples(), handover.training))
