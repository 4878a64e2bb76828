"""What a runtime is: the class to derive from, and what a runtime declares about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from parity.core.errors import ParityError, RuntimeFailureError, UsageError
from parity.runtimes.by_probe import EXPECTED, ByProbe, foreign, require_arrays

if TYPE_CHECKING:
    from parity.cases.case import Case, State
    from parity.cases.specs import Answer, Array, Batch
    from parity.export.bundles import Signature
    from parity.export.interface import Interface

Answers = dict[str, "Answer"]
"""Answers by probe."""

EVALUATIONS: dict[str, tuple[str, ...]] = {
    "predict": ("predict",),
    "accuracy": ("accuracy",),
    "evaluate": ("eval_loss", "eval_gradient"),
    "train": ("train_loss", "train_gradient", "batch_stats", "rng"),
}
"""By evaluation, which is computed once, the answers that it gives."""

DERIVED: dict[str, dict[str, Callable[[Answers], Answer]]] = {}
"""By evaluation, answers that follow from those that runtimes give, by probe; see `derive`."""

EVALUATION_OF = {answer: evaluation for evaluation, answers in EVALUATIONS.items() for answer in answers}

VIRTUAL_CPUS = 2
"""CPUs that each framework is given, so that every machine has a second device to ask."""

FIRST_CPU = "cpu:0"

CALLS = (1, 2)
"""The train evaluation runs twice in a row: the second call starts from the key and statistics that the first left."""

REFERENCE, ORACLE, CANDIDATE = "reference", "oracle", "candidate"
"""Roles: JAX in float32, which all are compared with; JAX in float64; whatever is under test."""
CASE, ARTIFACT = "case", "artifact"
"""Sources: the trained case, converted in this process; the exported files."""
ANY_BATCH, STORED_BATCHES = "any", "stored"
"""Batches that a runtime accepts: any that fills the specs, or those stored in the bundle; see `Bundle.lengths`."""
EAGER, GRAPH, XLA = "eager", "graph", "xla"
"""Modes in which TensorFlow runs a converted function."""


@dataclass(frozen=True)
class Capabilities:
    """What a runtime can do. The plan, the report and the gate follow from this; names of runtimes stand nowhere else.

    Attributes:
        role: `REFERENCE`, `ORACLE` or `CANDIDATE`.
        source: what it is opened on, `CASE` or `ARTIFACT`.
        evaluations: the keys of `EVALUATIONS` that it computes.
        gradients: whether `evaluate` and `train` give gradients.
        carried_state: whether `train` advances the batch statistics and the random key from call to call.
        batch: `ANY_BATCH` or `STORED_BATCHES`.
        further_devices: whether it is also asked on a second CPU and on GPUs; if not, on `FIRST_CPU` alone.
        any_state: whether `compute_at` answers from another state than the model's.
        rounding: whether `compute_with_rounding` is there; the reference needs it for budgets.
        own_process: whether it works in a process of its own, which can start early; see `Runtime.announce`.
        without_jax: whether JAX cannot be imported in that process.
        saves_again: whether `save_again` is there.
        variables: whether `variables` is there: it keeps the state in variables, as a server or a trainer loads them.
        mode: of a converted function, `EAGER`, `GRAPH` or `XLA`; None for everything else.
        requires: the modules that must be importable. Where `tensorflow` is among them, answers are TensorFlow's: they
            count for the verdict on the pair.
        timing_worker: `module:function` that opens its steps in a process of their own, see `parity.latency`; None
            where its latency is not measured.
    """

    role: str = CANDIDATE
    source: str = ARTIFACT
    evaluations: frozenset[str] = frozenset(EVALUATIONS)
    gradients: bool = True
    carried_state: bool = True
    batch: str = ANY_BATCH
    further_devices: bool = False
    any_state: bool = False
    rounding: bool = False
    own_process: bool = False
    without_jax: bool = False
    saves_again: bool = False
    variables: bool = False
    mode: str | None = None
    requires: tuple[str, ...] = ()
    timing_worker: str | None = None

    def __post_init__(self) -> None:
        expected: dict[str, tuple[object, ...]] = {
            "role": (REFERENCE, ORACLE, CANDIDATE),
            "source": (CASE, ARTIFACT),
            "batch": (ANY_BATCH, STORED_BATCHES),
            "mode": (None, EAGER, GRAPH, XLA),
        }
        for field, values in expected.items():
            if getattr(self, field) not in values:
                raise UsageError(f"Capabilities.{field} is {getattr(self, field)!r}. Expected one of {values}.")
        if unknown := sorted(set(self.evaluations) - set(EVALUATIONS)):
            raise UsageError(f"Capabilities.evaluations has {unknown}. Expected some of {sorted(EVALUATIONS)}.")

    @property
    def in_tensorflow(self) -> bool:
        """Whether the answers are TensorFlow's."""
        return "tensorflow" in self.requires

    def answers(self, probe: str, evaluation: str) -> bool:
        """Return whether a runtime with these capabilities answers `probe`, which `evaluation` computes."""
        if evaluation not in self.evaluations:
            return False
        if probe.endswith("gradient") and not self.gradients:
            return False
        return self.carried_state or probe not in ("batch_stats", "rng")


def narrowed(can: Capabilities, interface: Interface | None) -> Capabilities:
    """Return what a runtime can do about a user's own artifact, which may have less than parity's export.

    Args:
        can: what it declares.
        interface: of the artifact; None where parity exports the case.
    """
    if interface is None or can.source != ARTIFACT:
        return can
    evaluations = can.evaluations & interface.evaluations
    return replace(
        can,
        evaluations=evaluations,
        gradients=can.gradients and interface.complete,
        carried_state=can.carried_state and interface.complete,
        any_state=can.any_state and interface.complete,
        variables=can.variables and interface.has_variables,
        timing_worker=None,  # it opens what parity exports
    )


@dataclass(frozen=True)
class Model:
    """The model under test, as a runtime is opened on it: a trained case, or the bundle that it was exported to.

    Attributes:
        signature: what a process without JAX needs to know of the case.
        case, state: None where JAX is not installed.
        bundle: the folder of the bundle; None where no runtime reads one.
        readable_by: the requirement of the remedy of the export, such as `tensorflow==2.21.0`; None for JAX's default.
        values: the state as a flat list, so that modules need no copy of their own; None where it is not there.
    """

    signature: Signature
    case: Case | None
    state: State | None
    bundle: Path | None
    readable_by: str | None = None
    values: Values | None = None

    def require_case(self) -> tuple[Case, State]:
        """Return the case and its state.

        Raises:
            RuntimeFailureError: there is only a bundle.
        """
        if self.case is None or self.state is None:
            raise RuntimeFailureError("this runtime needs a trained case, and there is only a bundle.")
        return self.case, self.state

    def require_bundle(self) -> Path:
        """Return the folder of the bundle.

        Raises:
            RuntimeFailureError: the case was not exported.
        """
        if self.bundle is None:
            raise RuntimeFailureError("this runtime reads a bundle, and the case was not exported to one.")
        return self.bundle


@dataclass(frozen=True)
class Request:
    """One evaluation at a batch size on a device; `lengths` are further sizes, where they are not the examples' own."""

    evaluation: str
    batch_size: int
    device: str
    lengths: str = ""


Values = Sequence["Array"]
"""A state as a flat list: the leaves of `Model.signature.state` in their order, then the random key."""


class Variable(NamedTuple):
    """A variable of a loaded model: its value, and whether training moves it."""

    value: Array
    trainable: bool


Variables = dict[str, Variable]
"""Variables by leaf name, the random key as `key`."""


class Runtime(ABC):
    """Answers probes about a model. A subclass sets `name` and `capabilities`, and computes.

    Its module imports no framework: methods import what they need, so that runtimes can be listed anywhere.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def devices(cls) -> list[str]:
        """Return the devices that it can answer on, such as `cpu:0`."""
        return [FIRST_CPU]

    def available_devices(self) -> list[str]:
        """Return the devices of this object; those of its class unless it stands in for another runtime."""
        return self.devices()

    @abstractmethod
    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return the answers of `evaluation` by probe; `evaluate` calls this with a valid batch and device.

        Leaves are numpy arrays by name: `output` or the names of a dict of outputs for `predict`, `accuracy`, `loss`;
        gradients and statistics are named as in `Model.signature.state`. Those of `train` have the prefix `call_1/` or
        `call_2/`, and its key is `key`.
        """

    def evaluate(self, evaluation: str, batch: Batch, device: str = FIRST_CPU) -> ByProbe[Answer]:
        """Return answers by probe, always from the model's own state.

        Raises:
            InputError: `batch` does not fill the case's specs.
            UsageError: there is no such device.
            RuntimeFailureError: the runtime failed, or answered with what are no arrays by probe and leaf.
        """
        self._validate(batch, device)
        what = f"{self.shown()}: compute({evaluation!r})"
        try:
            answers = self.compute(evaluation, batch, device)
        except ParityError:
            raise
        except Exception as error:
            raise foreign(what, error) from error
        if not isinstance(answers, Mapping):
            raise RuntimeFailureError(f"{what} returned {type(answers).__name__}, expected {EXPECTED}.")
        checked = {probe: require_arrays(answer, f"{what} for {probe!r}") for probe, answer in answers.items()}
        return with_derived(evaluation, checked, self.shown())

    def shown(self) -> str:
        """Return the name for messages; that of the other runtime where this object stands in for one."""
        return getattr(self, "name", type(self).__name__)

    def _validate(self, batch: Batch, device: str) -> None:
        from parity.cases.specs import validate

        signature = self.model.signature
        validate(batch, signature.data, signature.labels, f"case {signature.case!r}")
        devices = self.available_devices()
        if device not in devices:
            raise UsageError(
                f"no device {device}. Expected one of {', '.join(devices)}; virtual CPUs are made when the "
                "framework starts, so select devices before anything else has started it."
            )

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return the same as `compute`, from the state `values`; for the capability `any_state`."""
        raise NotImplementedError(f"{self.name} answers from the model's own state only")

    def compute_with_rounding(self, values: Values, evaluation: str, batch: Batch, seed: int, **how: bool) -> Answers:
        """Return the answers from the state `values` with every rounded result off at random; capability `rounding`.

        Args:
            values: of all leaves of the state.
            evaluation: the name of the evaluation.
            batch: examples.
            seed: of the rounding.
            how: options of `parity.scoring.rounding.with_rounding`.
        """
        raise NotImplementedError(f"{self.name} has no arithmetic with random rounding")

    def save_again(self) -> Path:
        """Return a folder with the artifact, loaded and saved again; for the capability `saves_again`."""
        raise NotImplementedError(f"{self.name} does not save")

    def variables(self) -> Variables:
        """Return the variables as they are after loading; for the capability `variables`."""
        raise NotImplementedError(f"{self.name} has no variables")

    def announce(self, requests: Iterable[Request]) -> None:
        """Announce the requests of this run, so that a separate process can start early."""

    def close(self) -> None:
        """Close processes and files."""


def derive(probe: str, evaluation: str, function: Callable[[Answers], Answer]) -> None:
    """Let `function` compute the answer of `probe` from the others of an evaluation, for every runtime.

    Raises:
        UsageError: there is an answer of that name, or nothing can be derived from this evaluation.
    """
    expected = [name for name in EVALUATIONS if name != "accuracy"]  # it counts examples, and has no budget
    if evaluation not in expected:
        raise UsageError(f"probe {probe!r} is derived from {evaluation!r}. Expected one of {', '.join(expected)}.")
    if probe in EVALUATION_OF and DERIVED.get(EVALUATION_OF[probe], {}).get(probe) is not function:
        raise UsageError(f"there is a probe {probe!r} already. Expected another name for yours.")
    DERIVED.setdefault(evaluation, {})[probe] = function
    EVALUATIONS[evaluation] = tuple(dict.fromkeys([*EVALUATIONS[evaluation], probe]))
    EVALUATION_OF[probe] = evaluation


def with_derived(evaluation: str, answers: Answers, runtime: str) -> ByProbe[Answer]:
    """Return the answers of `runtime` with those that follow from them; one that cannot be derived fails alone."""
    found = ByProbe(answers)
    for probe, function in DERIVED.get(evaluation, {}).items():
        what = f"probe {probe!r} on {runtime}: derive"
        try:
            found[probe] = require_arrays(function(answers), what)
        except Exception as error:
            failure = error if isinstance(error, ParityError) else foreign(what, error)
            failure.alike = f"{probe}: {str(failure).removeprefix(what)}"
            found.fail(probe, failure)
    return found


class AtState(Runtime):
    """Another runtime, always answering from one other state than the model's."""

    def __init__(self, inner: Runtime, values: Values) -> None:
        super().__init__(inner.model)
        self._inner, self._values = inner, values

    def available_devices(self) -> list[str]:
        """Return the inner runtime's devices."""
        return self._inner.available_devices()

    def shown(self) -> str:
        """Return the inner runtime's name."""
        return self._inner.shown()

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from the other state."""
        return self._inner.compute_at(self._values, evaluation, batch, device)

    def compute_at(self, values: Values, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return answers from `values`."""
        return self._inner.compute_at(values, evaluation, batch, device)

    def compute_with_rounding(self, values: Values, evaluation: str, batch: Batch, seed: int, **how: bool) -> Answers:
        """Return answers from `values`."""
        return self._inner.compute_with_rounding(values, evaluation, batch, seed, **how)


class FixedAnswers(Runtime):
    """Gives answers that were computed before, under the name of another runtime."""

    def __init__(self, inner: Runtime, answers: Answers) -> None:
        super().__init__(inner.model)
        self._inner, self._answers = inner, answers

    def available_devices(self) -> list[str]:
        """Return the inner runtime's devices."""
        return self._inner.available_devices()

    def shown(self) -> str:
        """Return the inner runtime's name."""
        return self._inner.shown()

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return the fixed answers, whatever is asked."""
        return self._answers


def restricted(runtime: type[Runtime], interface: Interface | None) -> type[Runtime]:
    """Return `runtime` as it can be asked about a user's own artifact; see `narrowed`."""
    can = narrowed(runtime.capabilities, interface)
    return runtime if can == runtime.capabilities else type(runtime.__name__, (runtime,), {"capabilities": can})


def failures(runtime: Runtime, evaluations: Iterable[str], batch: Batch, device: str) -> list[RuntimeFailureError]:
    """Return how the runtime fails where it does, each evaluation tried once, in the order of `EVALUATIONS`."""
    found = []
    for evaluation in sorted(evaluations, key=list(EVALUATIONS).index):
        try:
            runtime.evaluate(evaluation, batch, device)
        except RuntimeFailureError as error:
            found.append(error)
    return found
