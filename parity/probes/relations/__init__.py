"""Relations that need no reference: what a runtime's answers must be to each other, whatever the right answer is.

In comes a subject and a place; out come leaf results. Where one answer follows from another only as far as rounding
goes, their distance is scored by the budget of the whole batch; where it is the same computation again, they must agree
to the bit. Each relation is one file of this package with a `RELATION`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from parity.probes.declaration import Probe, Scope
from parity.probes.relations._relation import Relation
from parity.records import PlanItem


@cache
def relations() -> dict[str, Relation]:
    """Return every relation by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Relation)]
    return {relation.name: relation for relation in sorted(found, key=lambda r: (r.order, r.name))}


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    named = [
        (relation.name, runtime)
        for relation in relations().values()
        if relation.probe in (None, *scope.case.probes)
        for runtime in relation.runtimes(scope)
    ]
    yield from scope.variants(probe, named)


PROBE = Probe(name="relations", plan=_plan)
