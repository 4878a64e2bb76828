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

from parity.cases import symbols
from parity.cases.specs import BATCH
from parity.probes.declaration import Probe, Scope
from parity.probes.relations._relation import Relation, related
from parity.records import PlanItem


@cache
def relations() -> dict[str, Relation]:
    """Return every relation by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Relation)]
    return {relation.name: relation for relation in sorted(found, key=lambda r: (r.order, r.name))}


def _plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    chosen = [relation for relation in relations().values() if relation.probe in (None, *scope.case.probes)]
    if bound := [text for text in scope.case.constraints if BATCH in symbols.mentioned(text)]:
        refused = ", ".join(relation.name for relation in chosen if relation.other_sizes)
        scope.left_out[f"{probe.name} of {scope.case.name} at other sizes"] = (
            f"{scope.case.name}: relations {refused} left out: {bound[0]!r} may not allow their batch sizes"
        )
        chosen = [relation for relation in chosen if not relation.other_sizes]
    of_rows = [relation for relation in chosen if relation.of_rows and list(relation.runtimes(scope))]
    followed = scope.outputs() if of_rows else {}
    if unrelated := [leaf for leaf, output in followed.items() if not related(output)]:
        names = ", ".join(relation.name for relation in of_rows)
        scope.left_out[f"{probe.name} of {scope.case.name}"] = (
            f"{scope.case.name}: relations {names} left out for the output {', '.join(unrelated)}: it depends on all "
            "examples of the batch"
        )
    if followed and len(unrelated) == len(followed):
        chosen = [relation for relation in chosen if not relation.of_rows]
    yield from scope.variants(probe, [(relation.name, r) for relation in chosen for r in relation.runtimes(scope)])


PROBE = Probe(name="relations", plan=_plan)
