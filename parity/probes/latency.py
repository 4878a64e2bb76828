"""How long each step takes on every runtime, and what a runtime costs beside its steps."""

from __future__ import annotations

from collections.abc import Iterator

from parity.probes.declaration import FIRST, Probe, Scope, is_first, size_id
from parity.records import FULL, QUICK, PlanItem

FOOTPRINT = "footprint"
FIRST_STEPS, FIRST_SIZE = ("predict", "train_step"), 13
"""What the first look times, of the reference and of the artifact in this process; the level `full` times the rest."""


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
                    first = is_first(devices) and _in_first_look(scope, runtime, step, size)
                    yield scope.item(
                        probe.name, probe.name, runtime, size, variant=step, ident=ident, devices=devices,
                        level=QUICK if first or scope.named else FULL,
                    )  # fmt: skip


def _in_first_look(scope: Scope, runtime: str, step: str, size: int) -> bool:
    sizes = scope.timed_sizes
    looked_at = FIRST_SIZE if FIRST_SIZE in sizes else min(sizes)
    return runtime in (*scope.reference, *scope.reader) and step in FIRST_STEPS and size == looked_at


def _plan_footprint(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    """Yield an item for each runtime that is timed, at the largest batch size."""
    timed = list(_plan(scope, PROBE))
    for runtime in dict.fromkeys(item.runtime for item in timed):
        size, ident = max(scope.timed_sizes), f"{scope.case.name}-{runtime}"
        yield scope.item(FOOTPRINT, PROBE.name, runtime, size, ident=ident)


PROBE = Probe(name="latency", plan=_plan, mark="latency", trains=True)
FOOTPRINT_PROBE = Probe(
    name=FOOTPRINT, plan=_plan_footprint, selected_by="latency", mark="latency", level=FULL, trains=True
)
