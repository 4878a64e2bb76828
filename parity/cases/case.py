"""What is tested: a case."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

from parity.cases.artifacts import Artifact, declared
from parity.cases.constraints import mentioned
from parity.cases.libraries import adapter_of
from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.specs import BATCH, Batch, Spec
from parity.core.errors import CaseError

PROBES = (
    "predict", "accuracy", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "batch_stats", "rng",
)  # fmt: skip
TEST_SET = 0
"""The whole test set, where a batch size is expected."""
BATCH_SIZES = (1, 13, 20, 256, TEST_SET)


@dataclass(frozen=True)
class Dataset:
    """The examples of a case.

    Attributes:
        train: trains the case briefly; at least one batch of `Training.batch_size` examples.
        test: the examples on which runtimes are compared; a batch is the first ones.
    """

    train: Batch
    test: Batch


@dataclass(frozen=True)
class Training:
    """How a case is trained briefly: by default with Adam, at a learning rate that decays once per epoch.

    Attributes:
        epochs: passes over the training set in JAX, before the export.
        epochs_after: passes in TensorFlow, after the exported case is loaded.
        batch_size: examples in a step; a remainder of the training set is dropped.
        learning_rate: of the first epoch; not used where there is a `schedule`.
        decay: the factor of the learning rate from one epoch to the next; not used where there is a `schedule`.
        seed: of the initial parameters, of the draws of training, and of the order of the examples.
        optimizer: turns gradients into updates.
        schedule: gives the learning rate of each step, or None for the two numbers above.

    Raises:
        CaseError: an optimizer or schedule of another type, a batch size below 1, or a negative number of epochs.
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

    def steps_per_epoch(self, examples: int) -> int:
        """Return the number of steps in an epoch over so many examples; 1 where there is no training to do them.

        Raises:
            CaseError: the examples are fewer than a batch.
        """
        steps = examples // self.batch_size
        if not steps and self.epochs:
            raise CaseError(
                f"the training set has {examples} examples, fewer than a batch of {self.batch_size}. "
                "Give more examples, or a smaller Training(batch_size=...)."
            )
        return max(steps, 1)


class State(NamedTuple):
    """The state of a model.

    Attributes:
        params: pytree of float arrays, which training updates by their gradient.
        other: pytree of arrays, which training replaces, such as batch statistics.
        rng: the key that training splits at every step, [2] uint32.
    """

    params: Any
    other: Any
    rng: Any


@dataclass(frozen=True)
class Limit:
    """A limit for the score of one case, in place of the project's.

    Attributes:
        score: the largest score that passes, in budgets (the error that float32 rounding explains).
        reason: why this case needs it; the report shows it.
    """

    score: float
    reason: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and self.score > 0):
            raise CaseError(f"Limit.score is {self.score!r}. Expected a finite number above 0.")
        if not self.reason.strip():
            raise CaseError("Limit.reason is empty. Expected why the case needs a limit of its own.")


def _leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves of dicts, lists, tuples and None; what else is a pytree only JAX knows, see `structure`."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _leaves(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _leaves(value)
    elif tree is not None and (isinstance(tree, Spec | type) or not hasattr(tree, "__dict__")):
        yield tree


@dataclass(frozen=True)
class Case:
    """A model with data: pure functions over pytrees, which JAX can trace with a symbolic batch size b.

    Attributes:
        name: letters, digits and underscores; part of the ids of checks.
        init: `init(key) -> (params, other_state)`. `key` is [2] uint32. `params` is a pytree of float arrays, at least
            one. `other_state` is a pytree of arrays that training replaces without a gradient, such as batch
            statistics, or typed PRNG keys; `{}` if there are none.
        loss: `loss(params, other_state, rng, data, labels, train) -> (loss, new_other_state)`. `loss` is a float
            scalar, the mean over the batch; `new_other_state` has the structure, shapes and dtypes of `other_state`.
            `rng` is a key [2] uint32, `train` a Python bool. None for a case that is `served_only`.
        predict: `predict((params, other_state), data) -> outputs`, an array or a pytree of them. Outputs need not carry
            the batch: a temperature or a table does not. Floats, complex numbers, integers and truth values are scored,
            each by its kind. Outputs are named by path: `scores`, `head/a`, `0`; one array alone is `output`.
        data: `Spec` of the input, or a pytree of them: dict, list, tuple, NamedTuple, or what JAX has registered. At
            least one carries the batch. Inputs are named by path, as outputs are; one array alone is `data`.
        labels: `Spec` of the labels likewise; None where `loss` needs none.
        dataset: `dataset() -> Dataset`, arrays as `data` and `labels` describe them; the same at every call.
        accuracy: `accuracy((params, other_state), data, labels) -> scalar`, a float: the share of the batch for which
            the largest of the scores that `predict` gives is the labelled one.
        training: how the case is trained before it is exported.
        probes: the probes that apply.
        limit: a limit for the score in place of the project's, with the reason.
        trunk: `trunk(params, other_state, rng, data, train) -> (features, new_other_state)`, the network up to its last
            layer, to be fused with another one; `features` is a float array [b, d]. None if there is none.
        frozen: the leaves of the state that training must leave as they are: patterns of their names, such as
            ("encoder/*", "scale"), or a function that says of a name whether it is one. Every other parameter must
            move, and every other float of `other_state`.
        weights: a file of weights in place of those that `init` makes: `.npz`, `.safetensors`, `.msgpack` or a folder
            of orbax, by leaf name; a relative path starts at the file of the case. With `Training(epochs=0)` they are
            tested as they are.
        constants: what the artifact may hold beside its weights, although it is larger than 64 KiB, such as a filter
            bank: its name as the check gives it, such as "float32[257, 80]", and why it is no weight.
        constraints: what the sizes in the specs must satisfy, as `jax.export.symbolic_shape` takes it, such as
            `("t >= 8", "mod(t, 4) == 0")`. They hold for all functions, since a name means one size in the whole case.
        symbols: further values of sizes other than "b", by name, at which the case is asked: `{"t": (8, 31)}`. Of a
            name that is not here, one smaller value is taken. Examples have the largest; other values are their start.
        artifact: the folder of a SavedModel that you have made, in place of parity's own export, or a
            `parity.Artifact` that says what in it answers what. It has its weights: give the same ones, by `weights`
            or by `init`, and `Training(epochs=0)`.
        export: `export(state, folder)`, your own exporter: it writes the SavedModel of `state`, a `parity.State`, into
            the empty `folder`. It is called once by default and once more under a remedy; `artifact` may then say what
            answers what, without a path.

    Raises:
        CaseError: a name is no identifier, an input is no `Spec`, a constraint is none, a size in `symbols` is no
            number, a probe is unknown, or the probe `accuracy` applies and there is no such function. The functions are
            checked before the case is trained.
    """

    name: str
    init: Callable[..., Any]
    loss: Any
    predict: Callable[..., Any]
    data: Any
    labels: Any
    dataset: Callable[[], Dataset]
    accuracy: Callable[..., Any] | None = None
    training: Training = Training()
    probes: tuple[str, ...] = PROBES
    limit: Limit | None = None
    trunk: Callable[..., Any] | None = None
    frozen: tuple[str, ...] | Callable[[str], bool] = ()
    weights: str | PathLike[str] | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    symbols: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    artifact: Artifact | str | PathLike[str] | None = None
    export: Callable[..., Any] | None = None

    @property
    def corrections(self) -> Artifact:
        """What the case says about its user's artifact; nothing where it says nothing."""
        return declared(self.artifact)

    @property
    def has_own_artifact(self) -> bool:
        """Whether the artifact is the user's: made elsewhere, or by their `export`."""
        return self.artifact is not None or self.export is not None

    @property
    def differentiated(self) -> bool:
        """Whether the loss is asked for its gradient: by training, or by a probe."""
        return bool(self.training.epochs) or not {"eval_gradient", "train_gradient"}.isdisjoint(self.probes)

    def is_frozen(self, leaf: str) -> bool:
        """Return whether training must leave the leaf of that name as it is."""
        if callable(self.frozen):
            return bool(self.frozen(leaf))
        return any(fnmatch.fnmatchcase(leaf, pattern) for pattern in self.frozen)

    @property
    def served_only(self) -> bool:
        """Whether it is neither trained nor asked for a loss: `loss` is not called, and need not have a gradient."""
        return not self.training.epochs and not set(self.probes) - {"predict", "accuracy"}

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise CaseError(f"case {self.name!r}: expected a name of letters, digits and underscores.")
        self._check_functions()
        self._check_inputs()
        self._check_choices()
        self._check_artifact()

    def _check_functions(self) -> None:
        for name in ("init", "loss", "predict"):
            if adapter := adapter_of(getattr(self, name)):
                raise CaseError(
                    f"case {self.name!r}: {name} is {getattr(self, name)!r}, expected a pure function. "
                    f"parity.{adapter} makes a case of such a model."
                )

    def _check_inputs(self) -> None:
        for kind in ("data", "labels"):
            for leaf in _leaves(getattr(self, kind)):
                if not isinstance(leaf, Spec):
                    raise CaseError(
                        f"case {self.name!r}: {kind} has {leaf!r}, expected a Spec, or a pytree of them. Give "
                        'Spec("b", ...) for every array; None where there are no labels.'
                    )
        for name, values in self.symbols.items():
            if name == BATCH or not all(type(value) is int and value > 0 for value in values):
                raise CaseError(
                    f"case {self.name!r}: symbols has {name!r}: {values!r}. Expected whole numbers above 0 for a size "
                    "other than the batch size, such as {'t': (8, 31)}; --batch-size sets that one."
                )
        if isinstance(self.constraints, str):
            raise CaseError(f"case {self.name!r}: constraints={self.constraints!r}, expected a tuple of such texts.")
        for text in self.constraints:
            mentioned(text)

    def _check_artifact(self) -> None:
        if self.export is not None and not callable(self.export):
            raise CaseError(f"case {self.name!r}: export={self.export!r}, expected a function export(state, folder).")
        path = self.corrections.path
        if self.has_own_artifact and (path is None) is (self.export is None):
            raise CaseError(
                f"case {self.name!r}: artifact={self.artifact!r} {'and' if path else 'without a path or'} an export. "
                "Expected one of the two: the path of what you have made, or export=..., your function that makes it."
            )
        if path is not None and self.training.epochs:
            raise CaseError(
                f"case {self.name!r} would be trained, and the artifact {path} has its weights already. Give the same "
                "weights to the case, weights=... or in init, and training=Training(epochs=0)."
            )

    def _check_choices(self) -> None:
        if not isinstance(self.constants, Mapping) or not all(
            str(reason).strip() for reason in self.constants.values()
        ):
            raise CaseError(
                f"case {self.name!r}: constants={self.constants!r}, expected names with the reason why each is no "
                'weight, such as {"float32[257, 80]": "mel filter bank"}.'
            )
        if not isinstance(self.limit, Limit | None):
            raise CaseError(f"case {self.name!r}: limit={self.limit!r}, expected parity.Limit(score, reason).")
        if not callable(self.frozen) and not (
            isinstance(self.frozen, tuple | list) and all(isinstance(pattern, str) for pattern in self.frozen)
        ):
            raise CaseError(
                f'case {self.name!r}: frozen={self.frozen!r}, expected names of leaves, such as ("encoder/*",), or a '
                "function of a name."
            )
        unknown = [probe for probe in self.probes if probe not in PROBES]
        if unknown or not self.probes:
            raise CaseError(f"case {self.name!r}: unknown probes {unknown}; expected some of {', '.join(PROBES)}.")
        if self.loss is None and not self.served_only:
            raise CaseError(
                f"case {self.name!r} has no loss. Give loss=..., or have it served only: "
                'probes=("predict",) and training=Training(epochs=0).'
            )
        if "accuracy" in self.probes and self.accuracy is None:
            raise CaseError(
                f"case {self.name!r} has the probe 'accuracy' and no function for it. "
                "Give accuracy=..., or leave the probe out of probes=(...)."
            )
