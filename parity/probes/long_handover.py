"""The whole hand-over: from several seeds every step to the end of training, and the accuracy that it ends with."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import Probe, Scope
from parity.probes.trajectory import planned_methods
from parity.records import FULL, PlanItem


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.reader:
        if planned_methods(scope):
            size = scope.case.training.batch_size
            yield scope.item(probe.name, probe.name, runtime, size, ident=scope.case.name)


PROBE = Probe(
    name="long_handover",
    plan=_plan,
    level=FULL,
    continues=True,
    mark="long",
    left_out="the whole hand-over, to the end of training from five seeds, left out; run it with -m long",
)
