"""The trajectories of a case: its training handed over in every way, and followed step by step beside JAX's own."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
from msgspec.structs import replace

from parity.cases.case import Case
from parity.cases.specs import Answer, Batch
from parity.core.errors import CaseError, ParityError
from parity.handover import CARRIED, EXPORTED, LOSS, RESTARTED
from parity.handover.continuing import resume
from parity.handover.counterparts import keras_optimizer
from parity.handover.course import Course, Point, Step, stepping
from parity.handover.exported import hand_over
from parity.handover.files import Handover
from parity.handover.hit import hit
from parity.handover.interruption import Interruption, judge
from parity.handover.resuming import AGAIN
from parity.handover.returning import Returned
from parity.handover.trajectory import Followed, Follower, has_power, judge_power, power
from parity.records import Curve, Event, HandoverCost, Power
from parity.runtimes.subject import Subject
from parity.scoring.rules import LeafResult

RETURNED, NARROW = "returned", "exported_bfloat16"
WAYS = {
    CARRIED: "TensorFlow with a Keras optimizer that has Optax's moments in its slots",
    EXPORTED: "TensorFlow by the exported Optax update",
    RETURNED: "TensorFlow by the exported Optax update, and back to JAX",
    NARROW: "the exported update again, of parameters in bfloat16 with moments in float32",
}
"""What is followed, and how."""
STEPS, NARROW_STEPS = 12, 4
"""How far; the long version follows training to its end."""
RETURN_AFTER, INTERRUPTED_AFTER = 6, 3
"""Steps in TensorFlow before training returns to JAX, and before it is interrupted; half of what there is, if fewer."""
Outcomes = dict[str, Followed | ParityError]
STATES_POWER = {EXPORTED: "trajectory", NARROW: "trajectory in bfloat16"}
"""The ways that state the power of their course, and under which name; the others are on the first of these."""
JAX_ALONE = "JAX alone"


def asked(case: Case) -> list[str]:
    """The ways that are followed for a case; none where it is not trained on."""
    if not (case.training.epochs and case.training.epochs_after) or not {"train_loss", "train_gradient"} <= set(
        case.probes
    ):
        return []
    return [way for way in WAYS if way != CARRIED or why_not_carried(case) is None]


def why_not_carried(case: Case) -> str | None:
    """Why no Keras optimizer takes the case's moments; None where one does."""
    try:
        keras_optimizer(case.training, 1)
    except CaseError as error:
        return str(error)
    return None


class Trajectories:
    """The trajectories of one case; what they share is made once.

    Args:
        subject: of the case.
        steps: how far they are followed; None for all of training.
    """

    def __init__(self, subject: Subject, steps: int | None = STEPS) -> None:
        self.subject, self.case = subject, subject.case
        self._steps = steps
        self._powers: dict[str, dict[int, dict[str, float]]] = {}
        self._uninterrupted: dict[str, Answer] = {}
        self._interruption: Interruption | None = None
        self._trainings: dict[str, Any] = {}
        self._drawn = False

    @cached_property
    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="parity-handover-"))

    @cached_property
    def batches(self) -> list[Batch]:
        """The batches to come, in order."""
        training, pipeline = self.case.training, self.subject.pipeline
        epochs = range(training.epochs, training.epochs + training.epochs_after)
        return [batch for epoch in epochs for batch in pipeline.epoch(epoch)]

    def _at_most(self, steps: int) -> int:
        """`steps`, or half of those that training goes on for.

        Raises:
            CaseError: it goes on for a single one.
        """
        if len(self.batches) < 2:
            raise CaseError(
                f"case {self.case.name!r}: training goes on for a single step, expected at least 2 to be interrupted "
                "and returned between them. Give more examples, or more Training(epochs_after=...)."
            )
        return min(steps, len(self.batches) // 2)

    @cached_property
    def _step(self) -> Step:
        return stepping(self.case, self.subject.pipeline.steps_per_epoch)

    @cached_property
    def _point(self) -> Point:
        return Point.of(self.subject.trained)

    @cached_property
    def course(self) -> Course:
        """JAX's own course."""
        return Course(self._step, self._point, self.batches[0], self.subject.limit)

    @cached_property
    def handover(self) -> Handover:
        """What TensorFlow is told."""
        return self._hand_over(self._point, self.subject.bundle / "saved_model", "handover")

    def _hand_over(self, point: Point, artifact: Path | None, name: str) -> Handover:
        subject = self.subject
        readable_by = subject.remedy.requirement if subject.remedy else None
        return hand_over(
            self.case, point, self._step, self._folder / name, artifact, subject.dataset.train, subject.pipeline,
            readable_by,
        )  # fmt: skip

    @cached_property
    def _alone(self) -> tuple[list[float], Point]:
        losses, end = [], self._point
        for loss, end in self.course.alone(self.batches):  # noqa: B007 - the last is where it ends
            losses.append(loss)
        return losses, end

    @property
    def alone(self) -> list[float]:
        """The loss of every step of JAX alone, without a hand-over."""
        return self._alone[0]

    def accuracies(self) -> dict[str, float]:
        """On the test set at the end: of JAX alone, and of each way that was followed to there.

        Raises:
            ParityError: TensorFlow cannot say.
        """
        test, of, state = self.subject.dataset.test, self.case.accuracy, self._alone[1].state
        if of is None:
            return {}
        ends = {way: training.accuracy(test) for way, training in self._trainings.items() if way in (CARRIED, EXPORTED)}
        alone = float(jax.jit(of)((state.params, state.other), test.data, test.labels))
        restarted = {} if why_not_carried(self.case) else {RESTARTED: self.subject.finetuned.accuracy[-1]}
        return {JAX_ALONE: alone, **restarted, **ends}

    @cached_property
    def _followed(self) -> Outcomes:
        trainings = self._trainings
        failed: Outcomes = {}
        for way in self._resumed:
            try:
                trainings[way] = resume(way, self.handover)
            except ParityError as error:
                failed |= {way: error, **({RETURNED: error} if way == EXPORTED else {})}
        if EXPORTED in trainings:
            after = self._at_most(RETURN_AFTER)
            trainings[RETURNED] = Returned(trainings[EXPORTED], self.course, self._point, after)
        return failed | self._follow(self.course, trainings, self._steps)

    @cached_property
    def _resumed(self) -> list[str]:
        return [way for way in asked(self.case) if way in (CARRIED, EXPORTED)]

    def _follow(self, course: Course, trainings: Mapping[str, Any], steps: int | None) -> Outcomes:
        follower, powers = Follower(course, trainings), {}
        for number, batch in enumerate(self.batches[:steps], 1):
            expected, answers = follower.step(batch)
            powers[expected.number] = power(course, expected)
            if number == 2 * self._at_most(INTERRUPTED_AFTER):
                self._uninterrupted |= answers
        self._powers |= dict.fromkeys(trainings, powers)
        return follower.followed

    @cached_property
    def _narrow(self) -> Outcomes:
        """Parameters as bfloat16; the moments stay float32."""
        state = self._point.state
        params = jax.tree_util.tree_map(lambda a: a.astype(jax.numpy.bfloat16), state.params)
        point = self._point._replace(state=state._replace(params=params))
        course = Course(self._step, point, self.batches[0], self.subject.limit)
        training = resume(EXPORTED, self._hand_over(point, None, "narrow"))
        return self._follow(course, {NARROW: training}, NARROW_STEPS)

    def follow(self) -> None:
        """Follow every way but the one in bfloat16, once."""
        assert self._followed

    def of(self, way: str) -> Followed:
        """What became of a training that was handed over so.

        Raises:
            ParityError: it could not be, or failed.
        """
        found = (self._narrow if way == NARROW else self._followed)[way]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return found

    def results(self, way: str, by_rung: bool = False) -> list[LeafResult]:
        """The trajectory as a whole, its worst step on every leaf or rung, and whether a defect would be seen."""
        found = self.of(way)
        first = next(iter(self._powers[way].values()))
        return [*(found.by_rung() if by_rung else found.results()), *judge_power(first)]

    def records(self, way: str) -> list[Event]:
        """What is worth keeping of a trajectory: its curves, its power, and what the hand-over costs."""
        found, powers = self.of(way), self._powers[way]
        kept: list[Event] = [*self._scores(way, found)]
        if way in (CARRIED, EXPORTED):
            kept += [self._cost(way, found, powers), *self._losses_alone(), self._losses(way, found.losses)]
        if way in STATES_POWER:
            name, size, last = self.case.name, self.case.training.batch_size, powers[max(powers)]
            kept += [Power(name, STATES_POWER[way], size, weight, smallest) for weight, smallest in last.items()]
        return kept

    def _cost(self, way: str, found: Followed, powers: dict[int, dict[str, float]]) -> HandoverCost:
        """The hit of a training that was followed: none where every loss was judged, and lies within budget."""
        judged = len(found.scores[LOSS])
        seen = list(itertools.takewhile(lambda step: has_power(powers[step]), found.steps[:judged]))
        within = bool(judged) and all(score <= self.subject.limit for score in found.scores[LOSS])
        cost = replace(
            self._hit(way, found.losses), steps=judged, within=within, kink=found.kink,
            power_until=seen[-1] if seen else None,
        )  # fmt: skip
        whole = within and judged == len(found.losses)
        return replace(cost, height=0.0, after=0, recovered_after=0) if whole else cost

    def _scores(self, way: str, found: Followed) -> list[Curve]:
        x = [float(step) for step in found.steps]
        return [
            Curve(self.case.name, f"score by step, {way}", rung, "step", x[: len(y)], y, limit=self.subject.limit)
            for rung, y in found.scores.items()
            if any(y)
        ]

    def restarted(self) -> list[Event]:
        """The same of the published workflow, and JAX alone; of that alone where Keras has no such optimizer."""
        if why_not_carried(self.case):
            return self._losses_alone()
        losses = self.subject.finetuned.step_loss
        return [self._hit(RESTARTED, losses), *self._losses_alone(), self._losses(RESTARTED, losses)]

    def _hit(self, way: str, losses: list[float]) -> HandoverCost:
        trained = self.subject.trained
        before = trained.metrics.step_loss[-trained.steps_per_epoch :]
        found = hit(self.case.name, way, trained.steps, before, self.alone, losses)
        return replace(found, batch_size=self.case.training.batch_size, seed=self.case.training.seed)

    def _losses_alone(self) -> list[Event]:
        """The losses of JAX alone, once."""
        drawn, self._drawn = self._drawn, True
        return [] if drawn else [self._losses(JAX_ALONE, self.alone)]

    def _losses(self, series: str, losses: list[float]) -> Curve:
        begin = self.subject.trained.steps
        before = self.subject.trained.metrics.step_loss if series == JAX_ALONE else []
        losses = [*before, *losses]
        x = [float(begin - len(before) + i) for i in range(1, len(losses) + 1)]
        return Curve(self.case.name, "loss, handed over", series, "step", x, losses, handover=float(begin))

    def begin_interruption(self) -> None:
        """Let the process that is to be killed begin, so that it works while the same steps are followed here."""
        self._interruption = self._interruption or Interruption(
            self.handover, self._folder / "interrupted", self._resumed, self._at_most(INTERRUPTED_AFTER)
        )

    def resumption(self) -> list[LeafResult]:
        """Whether training that is interrupted, and training that is exported a second time, go on to the same bits."""
        self.begin_interruption()
        self.follow()
        assert self._interruption is not None
        self._interruption.interrupt()
        found: list[LeafResult] = []
        for end, state in self._interruption.arrived().items():
            found += judge(state, self._uninterrupted.get(EXPORTED if end == AGAIN else end, {}), end)
        return found

    def close(self) -> None:
        """End processes, and remove temporary files."""
        if self._interruption is not None:
            self._interruption.close()
        if "_folder" in vars(self):
            shutil.rmtree(self._folder, ignore_errors=True)
