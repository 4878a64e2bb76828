"""Constraints on sizes, as `jax.export` reads them, evaluated without JAX."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
