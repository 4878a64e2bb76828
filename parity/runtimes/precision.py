"""The precision of a case: the dtypes that it computes in, and what follows for its limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parity.cases.case import Case, State
    from parity.cases.specs import Batch

SINGLE = frozenset({"float32", "complex64"})
"""The dtypes of single precision, for which the limits of the probes were chosen."""


def computed_dtypes(case: Case, state: State, batch: Batch) -> frozenset[str]:
    """Return the floating-point and complex dtypes in which the evaluations of a case compute, by name."""
    from parity.cases.functions import pure_functions
    from parity.runtimes.base import EVALUATION_OF
    from parity.scoring.rounding import computed_dtypes as of

    functions, asked = pure_functions(case), {EVALUATION_OF[probe] for probe in case.probes}
    return frozenset().union(*(of(functions[name], *state, batch.data, batch.labels) for name in asked))


def with_limit(case: Case, dtypes: frozenset[str]) -> Case:
    """Return `case` with the limit of the dtypes that it computes in, unless it has its own or that is the project's.

    Budgets of another precision than float32 come from rounding every result; see `rules.LIMIT_OF_OTHER_DTYPES`.
    """
    from parity.cases.case import Limit
    from parity.scoring import rules

    if case.limit is not None or dtypes <= SINGLE:
        return case
    reason = f"it computes in {' and '.join(sorted(dtypes))}"
    return replace(case, limit=Limit(rules.LIMIT_OF_OTHER_DTYPES, reason))


def powerless_from(dtypes: frozenset[str]) -> float:
    """Return the relative error in a weight from which a probe that misses it has no power, in these dtypes.

    It is `rules.POWERLESS`, and at least `rules.POWERLESS_ROUNDINGS` roundings of the coarsest dtype.
    """
    from parity.cases.specs import dtype_of
    from parity.scoring import rules

    coarsest = max((rules.unit_roundoff(dtype_of(name)) for name in dtypes), default=0.0)
    return max(rules.POWERLESS, rules.POWERLESS_ROUNDINGS * coarsest)
