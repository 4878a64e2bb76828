"""The saved artifact is what a server and a trainer need: weights are variables, and every way to predict agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.compat.causes import failed
from parity.probes.declaration import Probe, one_per_case
from parity.records import QUICK
from parity.scoring.rules import LeafResult, pass_or_fail

if TYPE_CHECKING:
    from parity.cases.specs import Batch
    from parity.runtimes.subject import Subject


def results(subject: Subject) -> list[LeafResult]:
    """Return whether the two SavedModels have no weights in their graphs, and predict the same bits in four ways.

    Raises:
        RuntimeFailureError: TensorFlow cannot load or run the artifact.
    """
    import tensorflow as tf

    from parity.export import artifact

    everything, inference = subject.bundle / "saved_model", subject.bundle / "inference"
    constants = [pass_or_fail(f"{path.name}/constants", _large_constant(path)) for path in (everything, inference)]
    try:
        return [*constants, *_predictions(subject, artifact.load(everything), artifact.load(inference))]
    except tf.errors.OpError as error:
        raise failed("TensorFlow cannot run the artifact", error) from error


def _large_constant(path: Path) -> str | None:
    from parity.export.artifact import LARGEST_CONSTANT

    name, size = max(constants(path), key=lambda pair: pair[1])
    if size <= LARGEST_CONSTANT:
        return None
    return f"weights in the graph: the constant {name} has {size:,} bytes, expected at most {LARGEST_CONSTANT:,}"


def constants(path: Path) -> Iterator[tuple[str, int]]:
    """Yield name and size in bytes of every constant of a SavedModel, those inside exported programs included."""
    from parity.export import artifact, conversion

    yield "none", 0
    for name, found in artifact.constants(path):
        if isinstance(found, int):
            yield name, found
        else:
            yield from ((f"in the program {name}", size) for size in conversion.program_constants(found))


def _predictions(subject: Subject, everything: Any, inference: Any) -> Iterator[LeafResult]:
    from parity.cases.specs import outputs

    for size, batch in subject.batches():
        expected = {k: v.numpy() for k, v in outputs(everything.predict(batch.data)).items()}
        answers = {
            "saved_model/serving_default": serve(everything, batch),
            "inference/predict": {k: v.numpy() for k, v in outputs(inference.predict(batch.data)).items()},
            "inference/serving_default": serve(inference, batch),
        }
        for name, found in answers.items():
            yield pass_or_fail(f"{name}/b{size}", _difference(found, expected))


def _difference(found: dict[str, Any] | None, expected: dict[str, Any]) -> str | None:
    if found is None:
        return "there is no serving_default signature: a server has nothing to call"
    same = set(found) == set(expected) and all(_same(found[leaf], expected[leaf]) for leaf in expected)
    return None if same else "differs from saved_model/predict, which has the same program"


def _same(one: Any, other: Any) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and one.tobytes() == other.tobytes()


def serve(module: Any, batch: Batch) -> dict[str, Any] | None:
    """Return what a server gets from `module`, by leaf name; None where it finds nothing to call."""
    import tensorflow as tf

    from parity.cases.specs import by_name

    signature = dict(module.signatures).get("serving_default")
    if signature is None:
        return None
    return {k: v.numpy() for k, v in signature(**{n: tf.constant(a) for n, a in by_name(batch.data).items()}).items()}


PROBE = Probe(name="artifact", plan=one_per_case(lambda scope: scope.reader), level=QUICK)
