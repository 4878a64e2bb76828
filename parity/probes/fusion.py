"""A head of TensorFlow on a trunk of JAX learns what the same network learns in JAX alone."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import Probe, Scope, one_per_case
from parity.records import FULL, PlanItem


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    if scope.case.trunk is None:
        return
    from parity.handover import keras_head

    scope.left_out |= keras_head.left_out()
    if keras_head.usable():
        yield from one_per_case(lambda scope: scope.reader)(scope, probe)


PROBE = Probe(name="fusion", plan=_plan, level=FULL, continues=True)
