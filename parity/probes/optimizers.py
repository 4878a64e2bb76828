"""Optimizers and schedules, each handed over on a small model: what an exported or carried update must get right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from parity.cases.case import Training
from parity.cases.loading import load
from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.training import optimizer
from parity.core.errors import ParityError
from parity.core.ledger import TimeLedger
from parity.handover import CARRIED, EXPORTED
from parity.handover.continuing import resume
from parity.handover.exported import hand_over
from parity.handover.reference import CompiledStep, ReferenceTrajectory
from parity.handover.setup import why_not_carried
from parity.handover.train_state import TrainState, stepping
from parity.handover.trajectory import Comparison, compare
from parity.probes.declaration import Probe, Scope
from parity.records import FULL, PlanItem, Remedy
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult

CASE = "ratings"
"""The case whose trained model is updated: four parameters, compiled once for all optimizers."""
RECORDED_AS = "optimizers"
"""The case in the record: an optimizer is about the pair of releases, not about a case."""
WARM_UP, STEPS = 5, 6
"""Steps that give the moments their values, and steps that are compared; schedules change among the latter."""
RATE = 0.01
BATCH_SIZE = load(CASE).training.batch_size

VARIANTS: dict[str, tuple[Optimizer, Schedule]] = {
    "sgd_piecewise": (
        Optimizer("sgd", {"momentum": 0.9}),
        Schedule("piecewise_constant_schedule", {"init_value": RATE, "boundaries_and_scales": {7: 0.5, 9: 0.1}}),
    ),
    "adam_exponential": (
        Optimizer("adam"),
        Schedule(
            "exponential_decay",
            {"init_value": RATE, "transition_steps": 3, "decay_rate": 0.6, "staircase": True},
        ),
    ),
    "adamw_cosine": (
        Optimizer("adamw", {"weight_decay": 0.01}),
        Schedule("cosine_decay_schedule", {"init_value": RATE, "decay_steps": 20}),
    ),
    "lion_warmup": (
        Optimizer("lion"),
        Schedule(
            "warmup_cosine_decay_schedule",
            {"init_value": 0.0, "peak_value": RATE, "warmup_steps": 8, "decay_steps": 30},
        ),
    ),
    "adafactor_constant": (Optimizer("adafactor"), Schedule("constant_schedule", {"value": RATE})),
    "adam_clipped": (
        Optimizer("adam", clip_global_norm=0.5),
        Schedule("constant_schedule", {"value": RATE}),
    ),
}
"""By name, an optimizer and a schedule; together they cover every kind of either."""


def training(variant: str) -> Training:
    """Return how the small model is trained by a variant."""
    update, rate = VARIANTS[variant]
    return replace(load(CASE).training, optimizer=update, schedule=rate)


def planned() -> list[tuple[str, str]]:
    """Return each variant with each method by which it can be handed over."""
    return [(variant, method) for variant in VARIANTS for method in _methods(variant)]


def _methods(variant: str) -> list[str]:
    refused = why_not_carried(replace(load(CASE), training=training(variant)))
    return [EXPORTED] if refused else [CARRIED, EXPORTED]


class Optimizers:
    """Hands every variant over, once; all share the trained model and its artifact.

    Args:
        subject: of the case `CASE`; closed with this.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._temporary = TemporaryDirectory(prefix="parity-optimizers-")
        self._compared: dict[str, Comparison | ParityError] = {}

    @classmethod
    def open(cls, ledger: TimeLedger) -> Optimizers:
        """Return the optimizers on a new subject."""
        return cls(Subject(load(CASE), ledger))

    @property
    def remedy(self) -> Remedy | None:
        """The remedy under which all of them are exported; None if none is needed."""
        found = self._subject.remedy
        return msgspec.structs.replace(found, case=RECORDED_AS) if found else None

    def results(self, variant: str, method: str) -> list[LeafResult]:
        """Return one result for the whole trajectory, the worst of every stage, and a failure if it has no power.

        Raises:
            ParityError: it could not be handed over, or failed.
        """
        if variant not in self._compared:
            try:
                self._compared[variant] = self._compare(variant)
            except ParityError as error:
                self._compared[variant] = error
        compared = self._compared[variant]
        if isinstance(compared, ParityError):
            raise compared.with_traceback(None)
        return compared.results(method, by_stage=True)

    def _compare(self, variant: str) -> Comparison:
        subject, case = self._subject, replace(self._subject.case, training=training(variant))
        pipeline, state = subject.pipeline, subject.trained.state
        batches = list(itertools.islice(pipeline.epoch(case.training.epochs), STEPS))
        step = stepping(case, pipeline.steps_per_epoch)
        moments = optimizer(case.training, pipeline.steps_per_epoch).init(state.params)
        cold = TrainState(state, moments, np.int32(0)).map(np.asarray)
        compiled = CompiledStep(step, cold, batches[0])
        warm_up = itertools.islice(itertools.cycle(batches), WARM_UP)
        [*_, (_, warm)] = ReferenceTrajectory(compiled, cold, subject.limit_of("optimizers")).jax_alone(warm_up)
        begin = TrainState(state, *warm.map(np.asarray)[1:])
        artifact = subject.bundle / "saved_model"  # before the remedy is read: the export decides whether one is needed
        readable_by = subject.remedy.requirement if subject.remedy else None
        folder = Path(self._temporary.name) / variant
        handover = hand_over(case, begin, pipeline, folder, artifact, readable_by)
        reference = ReferenceTrajectory(compiled, begin, subject.limit_of("optimizers"))
        trainings = {method: resume(method, handover) for method in _methods(variant)}
        return compare(reference, trainings, batches)

    def close(self) -> None:
        """Remove temporary files, and end processes."""
        self._temporary.cleanup()
        self._subject.close()


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.reader:
        for variant, method in planned():
            name = f"{variant}-{method}"
            yield scope.item(probe.name, probe.name, runtime, BATCH_SIZE, variant=name, ident=name, case=RECORDED_AS)


PROBE = Probe(name="optimizers", plan=_plan, about_pair=True, level=FULL)
