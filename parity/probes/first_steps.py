"""The first steps of training that was handed over lie on JAX's trajectory; `trajectory` follows it further.

Each step takes no more examples than the smallest batch size of the run that has several: eight members of an ensemble
take it as well, and with whole batches they would cost many times as much as all other probes together.
"""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import Probe, Scope
from parity.probes.trajectory import planned_methods
from parity.records import PlanItem


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.handover import CARRIED, EXPORTED

    whole = scope.case.training.batch_size
    size = min(scope.several_rows or whole, whole)
    for runtime in scope.reader:
        for method in planned_methods(scope):
            if method in (CARRIED, EXPORTED):
                ident = f"{scope.case.name}-{method}"
                yield scope.item(probe.name, probe.name, runtime, size, variant=method, ident=ident)


PROBE = Probe(name="first_steps", plan=_plan, continues=True)
