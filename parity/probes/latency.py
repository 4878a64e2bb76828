"""How long each step takes on every runtime, and what a runtime costs beside its steps."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import FIRST, Probe, Scope, size_id
from parity.records import PlanItem

FOOTPRINT = "footprint"


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    from parity.latency import PROBE_OF

    runtimes = scope.having(lambda can: can.timing_worker is not None)
    steps = [step for step, needed in PROBE_OF.items() if needed in scope.case.probes]
    if not runtimes or not steps:
        return
    pairs = [FIRST, *((j, t) for j, t in scope.gpus if j == t)]
    for devices in pairs:
        for size in scope.timed_sizes:
            for step in steps:
                for runtime in runtimes:
                    ident = size_id(f"{scope.case.name}-{runtime}-{step}", size, devices)
                    yield scope.item(
                        probe.name, probe.name, runtime, size, variant=step, ident=ident, devices=devices
                    )  # fmt: skip


def _plan_footprint(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    """Yield an item for each runtime that is timed, at the largest batch size."""
    timed = list(_plan(scope, PROBE))
    for runtime in dict.fromkeys(item.runtime for item in timed):
        size, ident = max(scope.timed_sizes), f"{scope.case.name}-{runtime}"
        yield scope.item(FOOTPRINT, PROBE.name, runtime, size, ident=ident)


LEFT_OUT = (
    "latency and footprint of each runtime left out; measure them with --latency (in pytest --parity-latency, alone: "
    "-m latency)"
)
PROBE = Probe(name="latency", plan=_plan, mark="latency", left_out=LEFT_OUT)
FOOTPRINT_PROBE = Probe(name=FOOTPRINT, plan=_plan_footprint, selected_by="latency", mark="latency", left_out=LEFT_OUT)
