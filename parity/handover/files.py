"""A hand-over on disk: everything that TensorFlow needs to train on from where JAX stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from parity.cases.case import Training
from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.specs import Answer, Batch, by_name, like
from parity.core import storage
from parity.core.errors import CaseError, RecordError, UsageError
from parity.export import bundles
from parity.export.bundles import Signature
from parity.handover import EXPORTED

MANIFEST, MOMENTS, EXAMPLES = "handover.json", "moments.npz", "examples.npz"
ARTIFACT, TRAINING = "saved_model", "training"


class Batches(Protocol):
    """The input pipeline; see `parity.cases.pipeline.Pipeline`."""

    steps_per_epoch: int

    def epoch(self, number: int) -> Iterator[Batch]:
        """Return the batches of one epoch."""


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
        return Batch(
            *(
                like(specs, {name: arrays[f"{kind}/{name}"] for name in by_name(specs)})
                for kind, specs in (("data", self.signature.data), ("labels", self.signature.labels))
            )
        )

    def batches(self, pipeline: Batches) -> Iterator[Batch]:
        """Yield the batches after the hand-over, from a pipeline that must give those that JAX would see.

        Raises:
            UsageError: it gives other batches, or the same in another order; before the first is yielded.
        """
        require_order(self, pipeline)
        first = self.training.epochs
        for epoch in range(first, first + len(self.order)):
            yield from pipeline.epoch(epoch)


def digest(batches: Iterator[Batch]) -> str:
    """Return the SHA-256 of the bytes of batches, in order."""
    found = hashlib.sha256()
    for batch in batches:
        for array in (*by_name(batch.data).values(), *by_name(batch.labels).values()):
            found.update(array.tobytes())
    return found.hexdigest()


def require_order(handover: Handover, pipeline: Batches) -> None:
    """Check that `pipeline` gives the batches that JAX would have seen.

    Raises:
        UsageError: it does not.
    """
    if pipeline.steps_per_epoch != handover.steps_per_epoch:
        raise UsageError(
            f"{handover.signature.case}: an epoch has {pipeline.steps_per_epoch} batches here, in JAX it had "
            f"{handover.steps_per_epoch}. Give the same training set and batch size."
        )
    for epoch, expected in enumerate(handover.order, handover.training.epochs):
        if digest(pipeline.epoch(epoch)) != expected:
            raise UsageError(
                f"{handover.signature.case}: the batches of epoch {epoch + 1} are not those that JAX would see, or "
                "stand in another order. Expected the same training set, shuffled from the same seed and epoch."
            )


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
    own = training.optimizer.make is not None or (training.schedule is not None and training.schedule.function)
    try:
        optimizer, schedule = (None, None) if own else (_declared(training.optimizer), _declared(training.schedule))
    except TypeError:
        optimizer = schedule = None
    return {
        **asdict(replace(training, optimizer=Optimizer(), schedule=None)),
        "optimizer": optimizer,
        "schedule": schedule,
    }


def _declared(one: Optimizer | Schedule | None) -> dict[str, Any] | None:
    if one is None:
        return None
    declared = {f.name: getattr(one, f.name) for f in fields(one) if f.name not in ("make", "function")}
    found: dict[str, Any] = json.loads(json.dumps(declared, default=_number))
    return found


def _number(value: Any) -> Any:
    """Return a scalar of numpy or JAX as one of Python."""
    if getattr(value, "shape", None) == () and not isinstance(value, type):
        return value.item()
    raise TypeError(f"{value!r} is no number")


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


def _training(known: dict[str, Any]) -> Training:
    optimizer, schedule = (
        one and {**one, "options": _options(one["options"])} for one in (known["optimizer"], known["schedule"])
    )
    optimizer = Optimizer(**optimizer) if optimizer else Optimizer(make=_not_written)
    schedule = Schedule(**schedule) if schedule else None
    return Training(**{**known, "optimizer": optimizer, "schedule": schedule})


def _not_written(schedule: Any) -> Any:
    raise UsageError(
        "the hand-over has no optimizer that can be made again: it is a function of the case. Train on by the exported "
        f"update, {EXPORTED!r}."
    )
