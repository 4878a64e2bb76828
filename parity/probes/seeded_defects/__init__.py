"""Seeded defects: wrong answers that every run must find, or its verdict on the pair means nothing.

In comes a subject and a place; out comes one result per defect, failed where the defect was not found. Each defect
takes the way of the run's own checks, `parity.probes.evaluation`, so whatever blinds those is found here. Each is one
file of this package with a `DEFECT` or several `DEFECTS`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from parity.probes.declaration import Probe, Scope
from parity.probes.seeded_defects._defect import Defect, probes_with_defects, result, seeded_defect
from parity.records import PlanItem


@cache
def defects() -> dict[str, Defect]:
    """Return every defect by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Defect)]
    found += [defect for module in modules for defect in getattr(module, "DEFECTS", ())]
    return {defect.name: defect for defect in found}


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    named, inapplicable = [], []
    for defect in defects().values():
        for runtime in defect.runtimes(scope):
            found = probes_with_defects(scope.case.probes, scope.can(runtime))
            if defect.needs_floats and found and scope.discrete().issuperset(found):
                inapplicable.append(defect.name)
            elif found:
                named.append((defect.name, runtime))
    if inapplicable:
        scope.left_out[f"{probe.name} of {scope.case.name}"] = (
            f"{scope.case.name}: seeded defects {', '.join(dict.fromkeys(inapplicable))} left out: not applicable, "
            "because no answer that has defects has a float"
        )
    yield from scope.variants(probe, named)


__all__ = ["PROBE", "Defect", "defects", "result", "seeded_defect"]

PROBE = Probe(name="seeded_defects", plan=_plan)
