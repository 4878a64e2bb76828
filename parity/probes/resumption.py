"""Training that is killed and resumed, or exported a second time, arrives at the same bits."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import Probe, Scope, reads_artifact_alone
from parity.probes.trajectory import planned_methods
from parity.records import FULL, PlanItem


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    for runtime in scope.having(reads_artifact_alone)[:1]:
        if planned_methods(scope):
            size = scope.case.training.batch_size
            yield scope.item(probe.name, probe.name, runtime, size, ident=scope.case.name)


PROBE = Probe(name="resumption", plan=_plan, level=FULL, continues=True)
