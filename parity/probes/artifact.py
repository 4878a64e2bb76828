"""The saved artifact is what a server and a trainer need: weights are variables, and every way to predict agrees."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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

    Of a user's own artifact, whether a server finds a signature, and, unless all its weights are constants, the first.

    Raises:
        RuntimeFailureError: TensorFlow cannot load or run the artifact.
    """
    import tensorflow as tf

    from parity.export import artifact

    everything, inference = subject.bundle / "saved_model", subject.bundle / "inference"
    allowed = subject.case.constants
    if subject.interface is not None:
        return list(_of_user(everything, allowed, subject.interface.has_variables))
    constants = [
        pass_or_fail(f"{path.name}/constants", large_constant(path, allowed)) for path in (everything, inference)
    ]
    if allowed:
        constants.append(pass_or_fail("allowed constants", _unused(everything, allowed)))
    try:
        return [*constants, *_predictions(subject, artifact.load(everything), artifact.load(inference))]
    except tf.errors.OpError as error:
        raise failed("TensorFlow cannot run the artifact", error) from error


def _of_user(path: Path, allowed: Collection[str], has_variables: bool) -> Iterator[LeafResult]:
    from parity.export import artifact

    if has_variables:
        yield pass_or_fail(f"{path.name}/constants", large_constant(path, allowed, _OF_USER))
        if allowed:
            yield pass_or_fail("allowed constants", _unused(path, allowed))
    there = bool(artifact.load(path).signatures)
    yield pass_or_fail(f"{path.name}/signatures", None if there else "has no signature: a server has nothing to call")


_OF_USER = "Keep it in a variable; or leave its leaf out, Artifact(state={leaf: None}), and"


def large_constant(
    path: Path, allowed: Collection[str] = (), advice: str = "Make it a parameter or other state, or"
) -> str | None:
    """Return what is wrong with the largest constant of a SavedModel that is not allowed; None where nothing is."""
    from parity.export.artifact import LARGEST_CONSTANT

    found = (known for known in constants(path) if known[0] not in allowed)
    name, size, where = max(found, key=lambda known: (known[1], known[0]), default=("", 0, ""))
    if size <= LARGEST_CONSTANT:
        return None
    return (
        f"weights in the graph: the constant {name}{where} has {size:,} bytes, expected at most "
        f"{LARGEST_CONSTANT:,}. {advice} allow it with the reason: Case(constants={{{name!r}: ...}})"
    )


def _unused(path: Path, allowed: Collection[str]) -> str | None:
    from parity.export.artifact import LARGEST_CONSTANT

    large = {name for name, size, _ in constants(path) if size > LARGEST_CONSTANT}
    unused = [name for name in allowed if name not in large]
    text = f"the case allows {', '.join(unused)}, which the artifact does not have. Remove it from Case(constants=...)"
    return text if unused else None


def constants(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the constants of a SavedModel, those inside exported programs included.

    Yields:
        The name by which a case allows it, its size in bytes, and where it is.
    """
    from parity.export import artifact, conversion

    for name, found in artifact.constants(path):
        if isinstance(found, int):
            yield name, found, ""
        else:
            yield from ((known, size, " in an exported program") for known, size in conversion.program_constants(found))


def _predictions(subject: Subject, everything: Any, inference: Any) -> Iterator[LeafResult]:
    from parity.export.artifact import served

    for size, batch in subject.batches():
        expected = _predicted(everything, batch)
        answers = {
            "saved_model/serving_default": serve(everything, batch),
            "inference/predict": served(_predicted(inference, batch)),
            "inference/serving_default": serve(inference, batch),
        }
        for name, found in answers.items():
            yield pass_or_fail(f"{name}/b{size}", _difference(found, served(expected)))


def _predicted(module: Any, batch: Batch) -> dict[str, Any]:
    from parity.cases.specs import outputs

    return {leaf: tensor.numpy() for leaf, tensor in outputs(module.predict(batch.data)).items()}


def _difference(found: dict[str, Any] | None, expected: dict[str, Any]) -> str | None:
    if found is None:
        return "there is no serving_default signature: a server has nothing to call"
    same = set(found) == set(expected) and all(_same(found[leaf], expected[leaf]) for leaf in expected)
    return None if same else "differs from saved_model/predict, which has the same program"


def _same(one: Any, other: Any) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and one.tobytes() == other.tobytes()


def serve(module: Any, batch: Batch) -> dict[str, Any] | None:
    """Return what a server gets from `module`, by the signature's names; None where it finds nothing to call."""
    import tensorflow as tf

    from parity.cases.specs import SOLE, by_name
    from parity.export.artifact import served

    signature = dict(module.signatures).get("serving_default")
    if signature is None:
        return None
    inputs = {name: tf.constant(array) for name, array in served(by_name(batch.data), SOLE).items()}
    return {name: tensor.numpy() for name, tensor in signature(**inputs).items()}


PROBE = Probe(name="artifact", plan=one_per_case(lambda scope: scope.reader), level=QUICK)
