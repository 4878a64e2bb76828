"""The sizes of a case that are not fixed: what its constraints allow, and at which values it is asked."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from parity.cases.case import Case
from parity.cases.specs import BATCH, Spec, by_name
from parity.core.errors import CaseError

_FUNCTIONS: dict[str, Callable[..., int]] = {
    "mod": operator.mod, "floordiv": operator.floordiv, "max": max, "min": min,
}  # fmt: skip
_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_RELATIONS: dict[type, Callable[[int, int], bool]] = {ast.GtE: operator.ge, ast.LtE: operator.le, ast.Eq: operator.eq}
EXPECTED = 'Expected the form that jax.export has, such as "t >= 8" or "mod(t, 4) == 0"'


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


def mentioned(constraint: str) -> frozenset[str]:
    """Return the sizes that a constraint names.

    Raises:
        CaseError: it is no constraint.
    """
    tree = _parsed(constraint)
    return frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name)) - frozenset(_FUNCTIONS)


def violated(constraints: Iterable[str], sizes: Mapping[str, int]) -> str | None:
    """Return the first constraint that `sizes` do not satisfy; None where they satisfy all.

    Raises:
        CaseError: one is no constraint, or names a size that is not in `sizes`.
    """
    return next((text for text in constraints if not _holds(text, sizes)), None)


def _holds(constraint: str, sizes: Mapping[str, int]) -> bool:
    tree = _parsed(constraint)
    try:
        left, right = (_value(side, sizes) for side in (tree.left, tree.comparators[0]))
    except KeyError as error:
        raise CaseError(
            f"constraint {constraint!r} names {error}, which is no size in the specs. Expected some of "
            f"{', '.join(sizes)}."
        ) from None
    except (ZeroDivisionError, TypeError) as error:
        raise CaseError(f"constraint {constraint!r}: {error}. {EXPECTED}.") from None
    return _RELATIONS[type(tree.ops[0])](left, right)


def _parsed(constraint: str) -> ast.Compare:
    try:
        tree = ast.parse(constraint.strip(), mode="eval").body
    except (SyntaxError, AttributeError, ValueError):
        tree = None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in _RELATIONS:
        raise CaseError(f"constraint {constraint!r}. {EXPECTED}.")
    if not all(map(_is_term, (tree.left, *tree.comparators))):
        raise CaseError(f"constraint {constraint!r}. {EXPECTED}.")
    return tree


def _is_term(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.BinOp):
        return type(node.op) in _OPERATORS and _is_term(node.left) and _is_term(node.right)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_term(node.operand)
    if isinstance(node, ast.Call):
        called = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
        return called and len(node.args) == 2 and all(map(_is_term, node.args))
    return isinstance(node, ast.Name)


def _value(node: Any, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant):
        return int(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, sizes)
    if isinstance(node, ast.Call):
        return _FUNCTIONS[node.func.id](*(_value(argument, sizes) for argument in node.args))  # type: ignore[attr-defined]
    return sizes[node.id]


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
    odd where the constraints allow it, and near half. A name of which no smaller size is allowed keeps its own.

    Args:
        case: the case.
        sizes: of the examples, with a batch size that is allowed.
    """
    given = [{name: value} for name, values in sorted(case.symbols.items()) for value in values if value != sizes[name]]
    smaller: dict[str, int] = {}
    free = [name for name in names(case) if name not in case.symbols]
    while name := next((n for n in free if n not in smaller and _smaller(case, n, {**sizes, **smaller})), None):
        smaller[name] = _smaller(case, name, {**sizes, **smaller})
    return [*given, *([dict(sorted(smaller.items()))] if smaller else [])]


def _smaller(case: Case, name: str, sizes: Mapping[str, int]) -> int:
    """Return a smaller size that is allowed; 0 where there is none."""
    own = sizes[name]
    allowed = (v for v in range(1, own) if violated(case.constraints, {**sizes, name: v}) is None)
    return min(allowed, key=lambda v: (v % 2 == 0, abs(2 * v - own), v), default=0)


def written(sizes: Mapping[str, int]) -> str:
    """Return sizes as the variant of a plan item names them, such as `s=7,t=15`."""
    return ",".join(f"{name}={size}" for name, size in sizes.items())


def read(variant: str) -> dict[str, int]:
    """Invert `written`; empty where a variant names no sizes."""
    pairs = [part.partition("=") for part in variant.split(",")]
    return {name: int(size) for name, sign, size in pairs if sign and size.isdecimal()}
