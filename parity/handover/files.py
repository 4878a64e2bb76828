"""A hand-over on disk: everything that TensorFlow needs to train on from where JAX stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.cases.case import Training
from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.specs import Answer, Batch, Specs, by_name, like
from parity.core import storage
from parity.core.errors import CaseError, RecordError, UsageError
from parity.export import bundles
from parity.export.bundles import Signature
from parity.handover import EXPORTED

if TYPE_CHECKING:
    from parity.cases.training import Batches

MANIFEST, MOMENTS, EXAMPLES = "handover.json", "moments.npz", "examples.npz"
ARTIFACT, TRAINING = "saved_model", "training"
DECLARED = ("optimizer", "schedule")
"""The fields of a training that may be or contain functions."""


@dataclass(frozen=True)
class Handover:
    """A hand-over: `handover.json`, and beside it the optimizer's state, the training set, and two SavedModels.

    Attributes:
        path: its folder.
        signature: that of the artifact.
        training: how the case is trained.
        steps: steps taken before the hand-over.
        steps_per_epoch: batches in an epoch.
        moments: the names of the optimizer's leaves, in order.
        order: a digest of the batches of each epoch to come; see `digest`.
    """

    path: Path
    signature: Signature
    training: Training
    steps: int
    steps_per_epoch: int
    moments: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def artifact(self) -> Path:
        """The SavedModel with `train_loss`, which a Keras optimizer trains."""
        return self.path / ARTIFACT

    @property
    def exported(self) -> Path:
        """The SavedModel with `train_step`."""
        return self.path / TRAINING

    def state(self) -> Answer:
        """Return the optimizer's state by leaf."""
        return bundles.load_arrays(self.path / MOMENTS)

    def examples(self) -> Batch:
        """Return the training set, one batch."""
        arrays = bundles.load_arrays(self.path / EXAMPLES)

        def part(kind: str, specs: Specs) -> Any:
            return like(specs, {name: arrays[f"{kind}/{name}"] for name in by_name(specs)})

        specs = self.signature.data, self.signature.labels
        return Batch(part("data", specs[0]), part("labels", specs[1]), specs)

    def batches(self, pipeline: Batches) -> Iterator[Batch]:
        """Yield the batches after the hand-over, from a pipeline that must give those that JAX would see.

        Raises:
            UsageError: it gives other batches, or the same in another order; before the first is yielded.
        """
        if pipeline.steps_per_epoch != self.steps_per_epoch:
            raise UsageError(
                f"{self.signature.case}: an epoch has {pipeline.steps_per_epoch} batches here, in JAX it had "
                f"{self.steps_per_epoch}. Give the same training set and batch size."
            )
        epochs = range(self.training.epochs, self.training.epochs + len(self.order))
        for epoch, expected in zip(epochs, self.order, strict=True):
            if digest(pipeline.epoch(epoch)) != expected:
                raise UsageError(
                    f"{self.signature.case}: the batches of epoch {epoch + 1} are not those that JAX would see, or "
                    "stand in another order. Expected the same training set, shuffled from the same seed and epoch."
                )
        for epoch in epochs:
            yield from pipeline.epoch(epoch)


def digest(batches: Iterator[Batch]) -> str:
    """Return the SHA-256 of the bytes of batches, in order."""
    found = hashlib.sha256()
    for batch in batches:
        for array in (*by_name(batch.data).values(), *by_name(batch.labels).values()):
            found.update(array.tobytes())
    return found.hexdigest()


def write(handover: Handover, moments: Answer, examples: Batch) -> None:
    """Write the manifest, the optimizer's state and the training set into the hand-over's folder."""
    named = {f"data/{k}": v for k, v in by_name(examples.data).items()}
    named |= {f"labels/{k}": v for k, v in by_name(examples.labels).items()}
    bundles.save_arrays(handover.path / EXAMPLES, named)
    bundles.save_arrays(handover.path / MOMENTS, moments)
    manifest = {
        "signature": handover.signature.to_json(),
        "training": _to_json(handover.training),
        "steps": handover.steps,
        "steps_per_epoch": handover.steps_per_epoch,
        "moments": handover.moments,
        "order": handover.order,
    }
    storage.write_atomically(handover.path / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False) + "\n")


def read(path: Path | str) -> Handover:
    """Return the hand-over in the folder `path`.

    Raises:
        RecordError: there is none, or its manifest is damaged.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        raise RecordError(
            f"{path} is no hand-over: it has no {MANIFEST}. Give the folder `handover` of a bundle; parity export "
            "--training writes it."
        )
    try:
        known = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return Handover(
            path, Signature.from_json(known["signature"]), _training(known["training"]), int(known["steps"]),
            int(known["steps_per_epoch"]), tuple(known["moments"]), tuple(known["order"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CaseError) as error:
        raise RecordError(f"{path} is no hand-over: {type(error).__name__}: {error}. Write it again.") from None


def _to_json(training: Training) -> dict[str, Any]:
    """Return what JSON can hold; an optimizer and schedule that are or contain functions become null.

    Such a training has no Keras counterpart, so it goes on by the exported update, which needs neither.
    """
    fields = asdict(training)
    try:
        declared = json.loads(json.dumps({name: fields[name] for name in DECLARED}, default=_number))
    except TypeError:
        declared = dict.fromkeys(DECLARED)
    return {**fields, **declared}


def _number(value: Any) -> Any:
    """Return a scalar of numpy or JAX as one of Python."""
    if getattr(value, "shape", None) == () and not isinstance(value, type):
        return value.item()
    raise TypeError(f"{value!r} is no number")


def _training(fields: dict[str, Any]) -> Training:
    """Invert `_to_json`."""
    optimizer, schedule = (one and {**one, "options": _options(one["options"])} for one in map(fields.get, DECLARED))
    return Training(
        **{
            **fields,
            "optimizer": Optimizer(**optimizer) if optimizer else Optimizer(make=_not_written),
            "schedule": Schedule(**schedule) if schedule else None,
        }
    )


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers for keys again, such as those of `boundaries_and_scales`; JSON has strings only."""
    return {
        name: {_key(key): v for key, v in value.items()} if isinstance(value, dict) else value
        for name, value in options.items()
    }


def _key(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _not_written(schedule: Any) -> Any:
    raise UsageError(
        "the hand-over has no optimizer that can be made again: it is a function of the case. Train on by the exported "
        f"update, {EXPORTED!r}."
    )
