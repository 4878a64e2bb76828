"""The sizes of a case that are not fixed: what its constraints allow, and at which values it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from parity.cases.case import Case
from parity.cases.constraints import mentioned, violated
from parity.cases.specs import BATCH, Spec, by_name, written
from parity.core.errors import CaseError


def of(specs: Any) -> tuple[str, ...]:
    """Return the names of the sizes in specs, flat ones, in order."""
    return tuple(sorted({name for spec in by_name(specs).values() if isinstance(spec, Spec) for name in spec.symbols}))


def names(case: Case) -> tuple[str, ...]:
    """Return the names of the sizes of a case but the batch size, in order."""
    return tuple(sorted({*of(case.data), *of(case.labels)} - {BATCH}))


def within(constraints: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the constraints that speak of `known` sizes alone: a function has not every input of its case."""
    found = frozenset(known)
    return tuple(text for text in constraints if mentioned(text) <= found)


def require_allowed(case: Case, sizes: Mapping[str, int]) -> None:
    """Require that the sizes of the examples satisfy the constraints of their case, the batch size aside.

    Raises:
        CaseError: they do not, or a value of `Case.symbols` is larger than they are, or not allowed.
    """
    largest = {name: size for name, size in sizes.items() if name != BATCH}
    batch = next(batch_sizes(case.constraints, largest), None)
    if batch is None:
        shown = ", ".join(f"{name}={size}" for name, size in largest.items()) or "every batch size"
        unmet = violated(case.constraints, {**largest, BATCH: 2})
        raise CaseError(
            f"case {case.name!r}: {shown} of the examples does not satisfy the constraint {unmet!r}. Give arrays of an "
            "allowed size, or correct Case(constraints=...)."
        )
    for name, values in case.symbols.items():
        if name not in largest:
            raise CaseError(
                f"case {case.name!r}: symbols has no size {name!r} of the specs. Expected some of "
                f"{', '.join(largest) or 'none, as every size but the batch size is fixed'}."
            )
        for value in values:
            if value > largest[name]:
                raise CaseError(
                    f"case {case.name!r}: symbols has {name}={value}, and the examples have {largest[name]}. Give "
                    "larger arrays: other values are the start of them."
                )
            if text := violated(case.constraints, {**largest, BATCH: batch, name: value}):
                raise CaseError(
                    f"case {case.name!r}: symbols has {name}={value}, which does not satisfy the constraint {text!r}."
                )


def batch_sizes(constraints: Iterable[str], sizes: Mapping[str, int], most: int = 4096) -> Iterator[int]:
    """Yield the batch sizes from 2 to `most`, then 1, that satisfy the constraints beside the other `sizes`."""
    for size in (*range(2, most + 1), 1):
        if violated(constraints, {**sizes, BATCH: size}) is None:
            yield size


def variants(case: Case, sizes: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the sizes at which a case is asked beside those of its examples.

    Of the names in `Case.symbols`, one at each value that is given there; of the others, one with all of them smaller,
    odd where the constraints allow it, and near half. Names of which none may be smaller alone shrink together, if
    their sizes are equal; else they keep their own.

    Args:
        case: the case.
        sizes: of the examples, with a batch size that is allowed.
    """
    given = [{name: value} for name, values in sorted(case.symbols.items()) for value in values if value != sizes[name]]
    smaller: dict[str, int] = {}
    free = [name for name in names(case) if name not in case.symbols]
    while name := next((n for n in free if n not in smaller and _smaller(case, {**sizes, **smaller}, n)), None):
        smaller[name] = _smaller(case, {**sizes, **smaller}, name)
    linked = {name: sizes[name] for name in free if name not in smaller}
    if len(set(linked.values())) == 1 and (value := _smaller(case, {**sizes, **smaller}, *linked)):
        smaller |= dict.fromkeys(linked, value)  # such as those of a square
    return [*given, *([dict(sorted(smaller.items()))] if smaller else [])]


def _smaller(case: Case, sizes: Mapping[str, int], *names: str) -> int:
    """Return a smaller size that is allowed for all of `names`, which are equal; 0 where there is none."""
    own = sizes[names[0]]
    allowed = (v for v in range(1, own) if violated(case.constraints, {**sizes, **dict.fromkeys(names, v)}) is None)
    return min(allowed, key=lambda v: (v % 2 == 0, abs(2 * v - own), v), default=0)


def read(variant: str) -> dict[str, int]:
    """Invert `written`; empty where a variant names no sizes."""
    pairs = [part.partition("=") for part in variant.split(",")]
    return {name: int(size) for name, sign, size in pairs if sign and size.isdecimal()}


__all__ = ["batch_sizes", "names", "of", "read", "require_allowed", "variants", "violated", "within", "written"]
