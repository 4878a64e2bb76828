"""What is under test: a case, and how one is found by name or in a user's file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.specs import Batch, Specs, by_name
from parity.core.errors import CaseError

PROBES = (
    "predict", "accuracy", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "batch_stats", "rng",
)  # fmt: skip
TEST_SET = 0
"""Stands for the whole test set where a batch size is expected."""
BATCH_SIZES = (1, 13, 20, 256, TEST_SET)


@dataclass(frozen=True)
class Dataset:
    """Training and test examples."""

    train: Batch
    test: Batch


@dataclass(frozen=True)
class Training:
    """How a case is trained briefly; unless stated otherwise with Adam, the rate decayed once per epoch (a staircase).

    `epochs` are trained in JAX, `epochs_after` more in TensorFlow after the reload. Where there is a `schedule`,
    `learning_rate` and `decay` have no say.
    """

    epochs: int = 3
    epochs_after: int = 7
    batch_size: int = 256
    learning_rate: float = 0.01
    decay: float = 0.6
    seed: int = 0
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        for name, kind in (("optimizer", Optimizer), ("schedule", Schedule | None)):
            if not isinstance(getattr(self, name), kind):
                raise CaseError(
                    f"training with the {name} {getattr(self, name)!r}: expected {name}={name.capitalize()}(...)."
                )
        if self.batch_size < 1 or self.epochs < 0 or self.epochs_after < 0:
            raise CaseError(f"{self}: expected a batch size of at least 1, and no negative number of epochs.")


class State(NamedTuple):
    """A model's state: pytrees of numpy arrays, and the key that training splits at every step, [2] uint32."""

    params: Any
    other: Any
    rng: Any


@dataclass(frozen=True)
class Limit:
    """A case's own limit for the score, and the reason for it, which the report shows."""

    score: float
    reason: str


@dataclass(frozen=True)
class Case:
    """Pure functions over pytrees, with data to try them on.

    Attributes:
        name: used in ids, so letters, digits and underscores.
        init: `init(key) -> (params, other_state)`; pytrees of arrays, every leaf of `params` floating-point.
            `other_state` is what training updates without a gradient, such as batch statistics; `{}` if nothing.
        loss: `loss(params, other_state, rng, data, labels, train) -> (loss, new_other_state)`; a float scalar, and
            a pytree of the same structure as `other_state`. `train` is a Python bool, `rng` a key [2] uint32.
        predict: `predict((params, other_state), data) -> array or dict of arrays`, [b, ...].
        data: spec of the inputs, one array or named arrays.
        labels: spec of the labels likewise.
        dataset: makes the examples.
        accuracy: `accuracy((params, other_state), data, labels) -> scalar`, the mean over the batch of whether the
            largest of the scores that `predict` gives is the labelled one.
        training: how it is trained before it is exported.
        probes: which probes apply.
        limit: a limit of its own for the score, with the reason.
        trunk: `trunk(params, other_state, rng, data, train) -> (features, new_other_state)`, the network up to its last
            layer; `features` is one float array [b, d]. None where nothing is to be fused with it.
    """

    name: str
    init: Callable[..., Any]
    loss: Callable[..., Any]
    predict: Callable[..., Any]
    data: Specs
    labels: Specs
    dataset: Callable[[], Dataset]
    accuracy: Callable[..., Any] | None = None
    training: Training = Training()
    probes: tuple[str, ...] = PROBES
    limit: Limit | None = None
    trunk: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise CaseError(f"case {self.name!r}: expected a name of letters, digits and underscores.")
        for name in (*by_name(self.data), *by_name(self.labels)):
            if not name.isidentifier():
                raise CaseError(
                    f"case {self.name!r}: input {name!r}; expected a name of letters, digits and underscores."
                )
        unknown = [probe for probe in self.probes if probe not in PROBES]
        if unknown or not self.probes:
            raise CaseError(f"case {self.name!r}: unknown probes {unknown}; expected some of {', '.join(PROBES)}.")
        if "accuracy" in self.probes and self.accuracy is None:
            raise CaseError(
                f"case {self.name!r} has the probe 'accuracy' and no function for it. "
                "Give accuracy=..., or leave the probe out of probes=(...)."
            )


def available() -> list[str]:
    """The names of the cases that ship with the package."""
    folder = Path(__file__).parent / "shipped"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> Case:
    """The case `name`: one that ships with the package, or `path/to/file.py:name`.

    Raises:
        CaseError: there is no such file, it does not parse, it raises, or it names no such case.
    """
    path, colon, attribute = name.rpartition(":")
    if colon:
        module, where = _user_module(Path(path)), path
    elif name in available():
        where, attribute = f"parity.cases.shipped.{name}", "case"
        module = importlib.import_module(where)
    else:
        raise CaseError(
            f"no case {name!r}. Expected one of {', '.join(available())}, or path/to/file.py:name for your own."
        )
    found = getattr(module, attribute, None)
    if not isinstance(found, Case):
        names = [key for key, value in vars(module).items() if isinstance(value, Case)]
        listed = f"it has {', '.join(names)}" if names else "it has no case at all; assign a parity.cases.case.Case"
        what = "is not a Case" if hasattr(module, attribute) else "is not in it"
        raise CaseError(f"{where}: {attribute!r} {what}; {listed}.")
    return found


def _user_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise CaseError(f"no case file {path}. Expected path/to/file.py:name.")
    spec = importlib.util.spec_from_file_location(f"parity_case_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CaseError(f"{path} is not a Python file. Expected path/to/file.py:name.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CaseError(f"{error.filename or path}, line {error.lineno}: does not parse: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        raise CaseError(f"{path} raised {type(error).__name__} while it was read: {error}.") from error
    return module
