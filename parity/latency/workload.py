"""The workload, a folder that every worker reads: the trained case, its examples by batch size, its SavedModel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.cases.specs import Answer, Batch
from parity.export import bundles
from parity.export.bundles import Bundle, Signature

MANIFEST, TRAINED, SAVED_MODEL = "workload.json", "trained.npz", "saved_model"


@dataclass(frozen=True)
class Workload:
    """A workload.

    Attributes:
        path: the folder.
        case: by the name that `parity.cases.loading.load` takes.
        signature: of the case.
        steps_per_epoch: of its training.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.
    """

    path: Path
    case: str
    signature: Signature
    steps_per_epoch: int
    readable_by: str | None

    @property
    def saved_model(self) -> Path:
        """The SavedModel; see `converted.save`."""
        return self.path / SAVED_MODEL

    def leaves(self) -> list[Any]:
        """Return the leaves of the state that training has arrived at, in the order of its tree."""
        return list(bundles.load_arrays(self.path / TRAINED).values())

    def batch(self, size: int) -> Batch:
        """Return the examples of that batch size."""
        return Bundle(self.path, self.signature, (), {}, {}, ()).batch(size)


def write(workload: Workload, leaves: list[Any], batches: Mapping[int, Batch]) -> None:
    """Write everything but the SavedModel."""
    known = {**vars(workload), "path": None, "signature": workload.signature.to_json()}
    workload.path.mkdir(parents=True)
    (workload.path / MANIFEST).write_text(json.dumps(known), encoding="utf-8")
    named: Answer = {f"{index:06}": leaf for index, leaf in enumerate(leaves)}
    bundles.save_arrays(workload.path / TRAINED, named)
    for size, batch in batches.items():
        bundles.save_inputs(workload.path, size, batch)


def read(path: Path) -> Workload:
    """Read what `write` wrote."""
    known = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return Workload(**{**known, "path": path, "signature": Signature.from_json(known["signature"])})


def tiled(examples: Batch, size: int) -> Batch:
    """Return `size` examples, repeating them from the first where there are fewer."""
    return examples.rows([i % examples.size for i in range(size)])
