"""The trajectories of a case: its training handed over by every method, and compared step by step with JAX's own."""

from __future__ import annotations

from functools import cached_property

from parity.cases.case import Case
from parity.core.errors import ParityError
from parity.handover import CARRIED, EXPORTED
from parity.handover.continuing import Continuation
from parity.handover.resumption import Interruption, judge
from parity.handover.returning import Returned
from parity.handover.setup import NARROW, RETURNED, HandoverSetup, methods
from parity.handover.train_state import TrainState
from parity.handover.trajectory import Comparison, Trainer, compare, half
from parity.scoring.rules import LeafResult

STEPS, NARROW_STEPS, FIRST_STEPS = 12, 4, 2
"""How far a trajectory goes: in float32, in bfloat16, and at first: one step from what was handed over, one from what
TensorFlow has updated. A long hand-over goes to the end."""
RETURN_AFTER = 6
"""Steps in TensorFlow before training returns to JAX; half of what there is, if fewer."""


def first_steps(setup: HandoverSetup, size: int) -> Comparison:
    """Compare the first steps of every method that goes on in TensorFlow to the end, on `size` examples each."""
    trainings, failed = _resumed(setup)
    batches = setup.first(FIRST_STEPS, size)
    found = compare(setup.reference(batches[0]), trainings, batches)
    found.outcomes |= failed
    return found


def _resumed(setup: HandoverSetup) -> tuple[dict[str, Continuation], dict[str, ParityError]]:
    """Return by method the training that goes on in TensorFlow to the end, and the error of those that cannot."""
    trainings: dict[str, Continuation] = {}
    failed: dict[str, ParityError] = {}
    for method in resumable(setup.case):
        try:
            trainings[method] = setup.resume(method)
        except ParityError as error:
            failed[method] = error
    return trainings, failed


def resumable(case: Case) -> list[str]:
    """Return the methods that apply to a case and go on in TensorFlow to the end."""
    return [method for method in methods(case) if method in (CARRIED, EXPORTED)]


class Trajectories:
    """The trajectories of one case, each followed once.

    Args:
        setup: the hand-over.
        steps: how far; None for all of training.
    """

    def __init__(self, setup: HandoverSetup, steps: int | None = STEPS) -> None:
        self.setup, self.case = setup, setup.case
        self._steps = steps
        self._interruption: Interruption | None = None
        self.trainings: dict[str, Continuation] = {}

    @cached_property
    def resumable(self) -> list[str]:
        """The methods that apply to the case and go on in TensorFlow to the end."""
        return resumable(self.case)

    @cached_property
    def jax_alone(self) -> tuple[list[float], TrainState]:
        """The loss of every step to the end of training without a hand-over, in JAX, and the state there."""
        steps = list(self.setup.reference().jax_alone(self.setup.batches))
        return [loss for loss, _ in steps], steps[-1][1]

    @cached_property
    def compared(self) -> Comparison:
        """Every method but the one in bfloat16."""
        setup = self.setup
        self.trainings, failed = _resumed(setup)
        trainings: dict[str, Trainer] = dict(self.trainings)
        reference = setup.reference()
        if EXPORTED in trainings:
            after = half(setup.batches, RETURN_AFTER)
            trainings[RETURNED] = Returned(self.trainings[EXPORTED], reference, after)
        elif EXPORTED in failed:
            failed[RETURNED] = failed[EXPORTED]
        found = compare(reference, trainings, setup.batches[: self._steps], 2 * half(setup.batches))
        found.outcomes |= failed
        return found

    @cached_property
    def _narrow(self) -> Comparison:
        narrow = self.setup.narrow
        return compare(narrow.reference(), {NARROW: narrow.resume(EXPORTED)}, self.setup.batches[:NARROW_STEPS])

    def comparison(self, method: str) -> Comparison:
        """Return the comparison that `method` takes part in."""
        return self._narrow if method == NARROW else self.compared

    def results(self, method: str, by_stage: bool = False) -> list[LeafResult]:
        """Return the results of a method; see `Comparison.results`."""
        return self.comparison(method).results(method, by_stage)

    def begin_interruption(self) -> None:
        """Start the process that is to be killed, so that it works while the same steps are taken here."""
        if self._interruption is None:
            setup = self.setup
            self._interruption = Interruption(
                setup.handover, setup.folder / "interrupted", self.resumable, half(setup.batches)
            )

    def resumption(self) -> list[LeafResult]:
        """Return whether interrupted training, and training exported a second time, go on to the same bits.

        Raises:
            ParityError: a process failed.
        """
        self.begin_interruption()
        uninterrupted = self.compared.kept
        assert self._interruption is not None
        self._interruption.interrupt()
        return [
            result
            for end, (method, state) in self._interruption.arrived().items()
            for result in judge(state, uninterrupted.get(method, {}), end)
        ]

    def close(self) -> None:
        """End processes."""
        if self._interruption is not None:
            self._interruption.close()
