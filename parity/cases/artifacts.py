"""A user's own artifact: where it is, and what answers what, where the guess from shapes, dtypes and names is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from parity.core.errors import CaseError

FUNCTIONS = ("predict", "accuracy", "eval_loss", "train_loss")
"""What an artifact may have a function for."""
Names = Mapping[str, str] | Callable[[Any], Any]


@dataclass(frozen=True)
class Artifact:
    """A SavedModel that was not exported by parity. What is not said here is guessed, and the guess is shown.

    Attributes:
        path: the folder; None for what `Case.export` writes.
        functions: by "predict", "accuracy", "eval_loss" or "train_loss", the name of the signature or of the function
            that answers it, as the guess shows it; None for none.
        inputs: by leaf of the case's data, the name of the input that takes it; or `inputs(data) -> {name: array}`,
            which makes the inputs from the case's numpy arrays: other dtypes, or encoded bytes.
        outputs: by leaf of the case's outputs, the name of the output that has it; or `outputs({name: array})`, which
            returns outputs of the case, such as the numbers of labels that are texts.
        state: by leaf of the state, the name of the variable that has it; None for a leaf that is not compared.

    Raises:
        CaseError: a name is none of a function, or a field is of another type.
    """

    path: str | PathLike[str] | None = None
    functions: Mapping[str, str | None] = field(default_factory=dict)
    inputs: Names = field(default_factory=dict)
    outputs: Names = field(default_factory=dict)
    state: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.functions if name not in FUNCTIONS]:
            raise CaseError(f"Artifact.functions has {unknown[0]!r}. Expected some of {', '.join(FUNCTIONS)}.")
        for name in ("inputs", "outputs"):
            if not (isinstance(getattr(self, name), Mapping) or callable(getattr(self, name))):
                raise CaseError(
                    f"Artifact.{name} is {getattr(self, name)!r}. Expected the artifact's names by the case's, such as "
                    '{"data": "x"}, or a function.'
                )

    @property
    def folder(self) -> Path | None:
        """The folder."""
        return None if self.path is None else Path(self.path)

    @property
    def has_functions(self) -> bool:
        """Whether inputs or outputs go through a function of the user's, which only this process has."""
        return callable(self.inputs) or callable(self.outputs)


def declared(artifact: str | PathLike[str] | Artifact | None) -> Artifact:
    """Return what a case declares as an `Artifact`; one that says nothing where it has none."""
    return artifact if isinstance(artifact, Artifact) else Artifact(artifact)
