"""Optimizers and schedules, each handed over on a small model: what an exported or carried update must get right."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from parity.cases.case import Training, load
from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.training import optimizer
from parity.core.errors import ParityError
from parity.core.ledger import Ledger
from parity.handover import CARRIED, EXPORTED
from parity.handover.continuing import resume
from parity.handover.course import Course, Point, stepping
from parity.handover.exported import hand_over
from parity.handover.trajectories import why_not_carried
from parity.handover.trajectory import Followed, Follower, judge_power, power
from parity.records import Remedy
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult
from parity.session.selection import OPTIMIZERS

ON = "ratings"
"""The case whose trained model is updated: four parameters, compiled at once."""
WARMED_UP, STEPS = 5, 6
"""Steps whose gradients the moments are made of, and steps that are followed; schedules change among the latter."""
RATE = 0.01
BATCH_SIZE = load(ON).training.batch_size

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
"""By name, an optimizer and a schedule; between them every kind of either."""


def training(variant: str) -> Training:
    """How the small model is trained by a variant."""
    update, rate = VARIANTS[variant]
    return replace(load(ON).training, optimizer=update, schedule=rate)


def asked() -> list[tuple[str, str]]:
    """Variants, and the ways in which each is handed over."""
    case = load(ON)
    return [
        (variant, way)
        for variant in VARIANTS
        for way in (CARRIED, EXPORTED)
        if way == EXPORTED or why_not_carried(replace(case, training=training(variant))) is None
    ]


class Updates:
    """Every variant, followed once; they share the trained model and its artifact."""

    def __init__(self, ledger: Ledger) -> None:
        self._subject = Subject(load(ON), ledger)
        self._followed: dict[str, dict[str, Followed | ParityError]] = {}
        self._power: dict[str, list[LeafResult]] = {}

    @cached_property
    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="parity-updates-"))

    def _follow(self, variant: str) -> dict[str, Followed | ParityError]:
        subject, case = self._subject, replace(self._subject.case, training=training(variant))
        pipeline, state = subject.pipeline, subject.trained.state
        batches = list(itertools.islice(pipeline.epoch(case.training.epochs), STEPS))
        step = stepping(case, pipeline.steps_per_epoch)
        moments = optimizer(case.training, pipeline.steps_per_epoch).init(state.params)
        begin = Point(state, moments, np.int32(0)).map(np.asarray)
        course = Course(step, begin, batches[0], subject.limit)
        warmed = [point for _, point in course.alone(itertools.islice(itertools.cycle(batches), WARMED_UP))][-1]
        point = Point(state, *warmed.map(np.asarray)[1:])
        course = course.begun_at(point)
        artifact = subject.bundle / "saved_model"  # first: it is exported under the remedy, where one is needed
        readable_by = subject.remedy.requirement if subject.remedy else None
        handover = hand_over(
            case, point, step, self._folder / variant, artifact, subject.dataset.train, pipeline, readable_by
        )
        follower = Follower(course, {way: resume(way, handover) for name, way in asked() if name == variant})
        for number, batch in enumerate(batches):
            expected, _ = follower.step(batch)
            if not number:
                self._power[variant] = judge_power(power(course, expected))
        return follower.followed

    @property
    def remedy(self) -> Remedy | None:
        """The remedy under which all of them are exported, if one is needed."""
        found = self._subject.remedy
        return msgspec.structs.replace(found, case=OPTIMIZERS) if found else None

    def results(self, variant: str, way: str) -> list[LeafResult]:
        """The trajectory as a whole, and its worst result on each rung.

        Raises:
            ParityError: it could not be handed over, or failed.
        """
        if variant not in self._followed:
            self._followed[variant] = self._follow(variant)
        found = self._followed[variant][way]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return [*found.by_rung(), *self._power[variant]]

    def close(self) -> None:
        """Remove temporary files, and end processes."""
        self._subject.close()
        if "_folder" in vars(self):
            shutil.rmtree(self._folder, ignore_errors=True)
