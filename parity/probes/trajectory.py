"""Training that was handed over stays on JAX's own trajectory: every step, every stage of a step, every method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from parity.probes.declaration import Probe, Scope
from parity.records import FULL, PlanItem

if TYPE_CHECKING:
    from parity.handover.events import HandoverEvents
    from parity.handover.trajectory import Comparison
    from parity.runtimes.subject import Subject


class Handover:
    """The hand-overs of a subject, made once; use it with `Subject.shared`."""

    def __init__(self, subject: Subject) -> None:
        from parity.handover.events import HandoverEvents
        from parity.handover.setup import HandoverSetup
        from parity.handover.trajectories import Trajectories

        self.setup = HandoverSetup(subject)
        self.trajectories = Trajectories(self.setup)
        self.events: HandoverEvents = HandoverEvents(self.trajectories)
        self._first: dict[int, Comparison] = {}

    def first_steps(self, size: int) -> Comparison:
        """Return the first steps, on `size` examples each, of every method that goes on in TensorFlow."""
        from parity.handover.trajectories import first_steps

        if size not in self._first:
            self._first[size] = first_steps(self.setup, size)
        return self._first[size]

    def close(self) -> None:
        """Remove files, and end processes."""
        self.trajectories.close()


def planned_methods(scope: Scope) -> list[str]:
    """Return the hand-over methods that are followed for a case; what is left out is noted in the scope."""
    from parity.handover.setup import methods, why_not_carried, why_not_handed_over

    found, case = methods(scope.case), scope.case.name
    if (lacking := why_not_handed_over(scope.case)) is not None:
        scope.left_out[f"{case}-trajectory"] = f"{case}: training is not handed over: {lacking}"
    elif (refused := why_not_carried(scope.case)) is not None:
        scope.left_out[f"{case}-carried"] = f"{case}: a Keras optimizer left out: {refused}"
    return found


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.reader:
        for method in planned_methods(scope):
            yield scope.item(
                probe.name, probe.name, runtime, scope.case.training.batch_size, variant=method,
                ident=f"{scope.case.name}-{method}",
            )  # fmt: skip


PROBE = Probe(name="trajectory", plan=_plan, level=FULL, continues=True)
