"""The first steps of training that was handed over lie on JAX's trajectory; `trajectory` follows it further."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import Probe, Scope
from parity.probes.trajectory import planned_methods
from parity.records import PlanItem


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.handover import CARRIED, EXPORTED

    for runtime in scope.reader:
        for method in planned_methods(scope):
            if method in (CARRIED, EXPORTED):
                yield scope.item(
                    probe.name, probe.name, runtime, scope.case.training.batch_size, variant=method,
                    ident=f"{scope.case.name}-{method}",
                )  # fmt: skip


PROBE = Probe(name="first_steps", plan=_plan, continues=True)
