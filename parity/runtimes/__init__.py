"""Runtimes: whatever can answer probes about a case. One file per runtime, one protocol."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from parity.cases.case import Case, State
from parity.cases.specs import Answer, Batch, validate
from parity.core.errors import RuntimeFailureError, UsageError
from parity.export.bundles import Signature

JAX, JAX_FLOAT64 = "jax", "jax_float64"
CONVERTED = TF_EAGER, TF_GRAPH, TF_XLA = "tf_eager", "tf_graph", "tf_xla"
SAVED_MODEL, SAVED_MODEL_FRESH = "saved_model", "saved_model_fresh"
RUNTIMES = (JAX, JAX_FLOAT64, *CONVERTED, SAVED_MODEL, SAVED_MODEL_FRESH)
"""Each is a module of this package with a class `Runtime`."""

EVALUATIONS = {
    "predict": ("predict",),
    "accuracy": ("accuracy",),
    "evaluate": ("eval_loss", "eval_gradient"),
    "train": ("train_loss", "train_gradient", "batch_stats", "rng"),
}
"""What is computed once to answer several probes."""

EVALUATION_OF = {probe: evaluation for evaluation, probes in EVALUATIONS.items() for probe in probes}

VIRTUAL_CPUS = 2
"""How many CPUs each framework is given, so that a second device can be asked on every machine."""

CALLS = (1, 2)
"""Training probes are asked twice in a row, so that the key and the statistics of the first call meet the second."""


@dataclass(frozen=True)
class Model:
    """What runtimes are questioned about: a trained case, or the bundle it was exported to.

    `case` and `state` are None where JAX is not installed; `bundle` is None where no runtime reads one. `readable_by`
    is the requirement of the remedy under which it is exported, or None for jax's default.
    """

    signature: Signature
    case: Case | None
    state: State | None
    bundle: Path | None
    readable_by: str | None = None

    def require_case(self) -> tuple[Case, State]:
        """The case and its state.

        Raises:
            RuntimeFailureError: there is only a bundle.
        """
        if self.case is None or self.state is None:
            raise RuntimeFailureError("this runtime answers about a trained case, and there is only a bundle.")
        return self.case, self.state

    def require_bundle(self) -> Path:
        """The bundle.

        Raises:
            RuntimeFailureError: the case was not exported.
        """
        if self.bundle is None:
            raise RuntimeFailureError("this runtime reads a bundle, and the case was not exported to one.")
        return self.bundle


@dataclass(frozen=True)
class Request:
    """One evaluation at a batch size on a device."""

    evaluation: str
    batch_size: int
    device: str


class BaseRuntime(ABC):
    """Answers probes about a subject."""

    def __init__(self, subject: Model) -> None:
        self.model = subject

    @abstractmethod
    def devices(self) -> list[str]:
        """The devices it can answer on, such as `cpu:0`."""

    @abstractmethod
    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answer the probes of `evaluation`; called by `evaluate` with a valid batch and device."""

    def evaluate(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers by probe.

        Every answer is from the subject's own state: what a training call changes is put back before the next.

        Raises:
            InputError: `batch` does not fill the case's specs.
            UsageError: there is no such device.
            RuntimeFailureError: the runtime failed.
        """
        signature = self.model.signature
        validate(batch, signature.data, signature.labels, f"case {signature.case!r}")
        if device not in self.devices():
            raise UsageError(
                f"no device {device}. Expected one of {', '.join(self.devices())}; virtual CPUs are made when the "
                "framework starts, so ask before anything else has started it."
            )
        return self.compute(evaluation, batch, device)

    def expect(self, requests: Iterable[Request]) -> None:
        """Told beforehand what will be asked, so that a runtime in a process of its own can begin."""

    def close(self) -> None:
        """Let go of processes and files."""


def failures(runtime: BaseRuntime, evaluations: Iterable[str], batch: Batch, device: str) -> list[RuntimeFailureError]:
    """How the runtime fails where it does, asked once for each evaluation, in the order of `EVALUATIONS`."""
    found = []
    for evaluation in sorted(evaluations, key=list(EVALUATIONS).index):
        try:
            runtime.evaluate(evaluation, batch, device)
        except RuntimeFailureError as error:
            found.append(error)
    return found


def open_runtime(name: str, subject: Model) -> BaseRuntime:
    """The runtime `name`, about `subject`.

    Raises:
        UsageError: there is no such runtime.
    """
    if name not in RUNTIMES:
        raise UsageError(f"no runtime {name!r}. Expected one of {', '.join(RUNTIMES)}.")
    runtime: BaseRuntime = importlib.import_module(f"parity.runtimes.{name}").Runtime(subject)
    return runtime
