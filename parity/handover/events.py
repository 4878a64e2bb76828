"""The events that a hand-over leaves in the record: its cost, its power, and curves of losses and scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from msgspec.structs import replace

from parity.handover import CARRIED, EXPORTED, LOSS, RESTARTED
from parity.handover.cost import handover_cost
from parity.handover.finetuning import finetuned
from parity.handover.setup import NARROW, why_not_carried
from parity.handover.trajectories import Trajectories
from parity.handover.trajectory import TrajectoryResult, has_power
from parity.records import Curve, Event, HandoverCost, Power

JAX_ALONE = "JAX alone"
STATES_POWER = {EXPORTED: "trajectory", NARROW: "trajectory in bfloat16"}
"""The methods that record the power of their reference trajectory, and under which name; others share the first."""


class HandoverEvents:
    """Describes the trajectories of one case; the losses of JAX alone are among the first events only."""

    def __init__(self, trajectories: Trajectories) -> None:
        self.trajectories, self._subject = trajectories, trajectories.setup.subject
        self._case = trajectories.case
        self._has_losses_alone = False

    def of(self, method: str) -> list[Event]:
        """Return the scores by step of a method; of some also the cost, the losses and the power.

        Raises:
            ParityError: it could not be handed over, or failed.
        """
        comparison = self.trajectories.comparison(method)
        found, powers = comparison.outcome(method), comparison.powers
        events: list[Event] = [*self._scores(method, found)]
        if method in (CARRIED, EXPORTED):
            events += [
                self._cost_of(method, found, powers), *self._losses_alone(), self._losses(method, found.losses),
            ]  # fmt: skip
        if method in STATES_POWER:
            name, size, last = self._case.name, self._case.training.batch_size, powers[max(powers)]
            events += [Power(name, STATES_POWER[method], size, weight, least) for weight, least in last.items()]
        return events

    def restarted(self) -> list[Event]:
        """Return the cost and losses of the published workflow, where Keras has the optimizer, and of JAX alone.

        Raises:
            ParityError: TensorFlow cannot train the artifact.
        """
        if why_not_carried(self._case):
            return self._losses_alone()
        losses = finetuned(self._subject).step_loss
        return [self._cost(RESTARTED, losses), *self._losses_alone(), self._losses(RESTARTED, losses)]

    def _cost_of(self, method: str, found: TrajectoryResult, powers: dict[int, dict[str, float]]) -> HandoverCost:
        """Return the cost of a training that was compared: none where every loss lies within budget."""
        compared, scores = len(found.scores[LOSS]), found.scores[LOSS]
        seen = list(itertools.takewhile(lambda step: has_power(powers[step]), found.steps[:compared]))
        within = bool(compared) and all(score <= self._subject.limit_of("trajectory") for score in scores)
        cost = replace(
            self._cost(method, found.losses), steps=compared, within=within, kink=found.kink,
            power_until=seen[-1] if seen else None,
        )  # fmt: skip
        whole = within and compared == len(found.losses)
        return replace(cost, height=0.0, after=0, recovered_after=0) if whole else cost

    def _cost(self, method: str, losses: Sequence[float]) -> HandoverCost:
        trained, training = self._subject.trained, self._case.training
        before = trained.metrics.step_loss[-trained.steps_per_epoch :]
        alone = self.trajectories.jax_alone[0]
        found = handover_cost(self._case.name, method, trained.steps, before, alone, losses)
        return replace(found, batch_size=training.batch_size, seed=training.seed)

    def _scores(self, method: str, found: TrajectoryResult) -> list[Curve]:
        x, limit = [float(step) for step in found.steps], self._subject.limit_of("trajectory")
        return [
            Curve(self._case.name, f"score by step, {method}", name, "step", x[: len(y)], y, limit=limit)
            for name, y in found.scores.items()
            if any(y)
        ]

    def _losses_alone(self) -> list[Event]:
        if self._has_losses_alone:
            return []
        self._has_losses_alone = True
        before = self._subject.trained.metrics.step_loss
        return [self._losses(JAX_ALONE, [*before, *self.trajectories.jax_alone[0]], len(before))]

    def _losses(self, series: str, losses: Sequence[float], before: int = 0) -> Curve:
        """Return a curve of losses, of which `before` are from before the hand-over."""
        begin = self._subject.trained.steps
        x = [float(begin - before + i) for i in range(1, len(losses) + 1)]
        return Curve(self._case.name, "loss, handed over", series, "step", x, [*losses], handover=float(begin))
