"""An error of a framework as one line: what failed, its cause, and what helps.

The full text stays with the error, for the log of the run.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from parity.compat import known_issues
from parity.core import environment
from parity.core.errors import RuntimeFailureError
from parity.core.failures import (
    MISSING_FFI,
    REMEDIABLE,
    SHAPE_REFINEMENT,
    SYMBOLIC_SHAPE,
    Failure,
    of,
)

FIXED_SIZES, NO_REMEDY = "Export for one batch size.", "No remedy is known."
_NATIVE = {
    "potrf": "the Cholesky factors",
    "getrf": "the LU decomposition (solve, inv, det)",
    "geqrf|geqp3|orgqr|ungqr|ormqr|unmqr": "the QR decomposition",
    "syev|heev": "the eigenvalues (eigh)",
    "geev": "the eigenvalues (eig)",
    "gesdd|gesvd": "the singular values",
    "trsm": "the triangular solve",
    "gees": "the Schur decomposition",
    "gehrd": "the Hessenberg decomposition",
    "sytrd|hetrd": "the tridiagonal reduction",
    "gtsv": "the tridiagonal solve",
}
"""What JAX makes of a call to LAPACK on a CPU, by a regular expression of its routines."""


def failed(what: str, error: BaseException, otherwise: str = "") -> RuntimeFailureError:
    """Return the failure that an exception of a framework is; raise it from that exception.

    Its message is `what`, the cause and the cure, in one line. `failure` and `details` are those of the exception.

    Args:
        what: what failed, without a stop.
        error: the exception.
        otherwise: what to do where no cure is known.
    """
    return _made(what, of(error), full_text(error), otherwise)


def full_text(error: BaseException) -> str:
    """Return the text of an exception and of its causes, with stacks: for a log.

    Of an error that `failed` or `of_reply` made, that of what failed.
    """
    if isinstance(error, RuntimeFailureError) and error.details:
        return error.details
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def cure(failure: Failure, versions: Mapping[str, str | None] | None = None) -> str:
    """Return what helps against a failure, in sentences of one line; empty where nothing is known of its class.

    A known issue of the package that names the operation decides, whatever the case in which it is listed.

    Args:
        failure: from an error.
        versions: of the packages; by default those that are installed.
    """
    versions = environment.versions() if versions is None else versions
    issue = next((issue for issue in known_issues.load() if issue.concerns(failure, versions)), None)
    if issue is None:
        return _by_class(failure, versions)
    helps = f"{issue.remedy.rstrip('.')}."
    if issue.remedy.startswith("none"):  # alone, or with what works nevertheless
        helps = _by_class(failure, versions) if failure.kind == MISSING_FFI else f"{NO_REMEDY[:-1]}{helps[4:]}"
    return f"{helps} Known issue {issue.id}."


def _by_class(failure: Failure, versions: Mapping[str, str | None]) -> str:
    if failure.kind in REMEDIABLE:
        reader = versions.get("tensorflow")
        return f'Export under parity.readable_by("tensorflow=={reader}").' if reader else ""
    if failure.kind == SYMBOLIC_SHAPE:
        return _of_symbolic_size(failure.evidence)
    if failure.kind == SHAPE_REFINEMENT:
        return FIXED_SIZES
    if failure.kind == MISSING_FFI:
        names = [words for routine, words in _NATIVE.items() if re.search(routine, failure.evidence)]
        calls = f"{names[0]} of JAX on a CPU: keep that" if names else "a part of JAX: keep what calls it"
        return f"It is {calls} out of what is exported. {NO_REMEDY}"
    return ""


def _of_symbolic_size(evidence: str) -> str:
    """Return which sizes to fix; and the constraint that decides, where the evidence compares sizes with a number."""
    compared = _COMPARED.search(evidence)
    if compared is None:
        return "An export for fixed sizes avoids it."
    left, sign, right = compared.group("left", "sign", "right")
    if left.isdecimal():
        left, sign, right = right, _FLIPPED[sign], left
    names = sorted({*re.findall(r"[A-Za-z]\w*", f"{left} {right}")} - _FUNCTIONS)
    of = "one batch size" if "b" in names else f"one value of {' and '.join(names)}"
    if not right.isdecimal() or "^" in left:  # a power is no constraint
        return f"An export for {of} avoids it."
    least, named = int(right) + (sign in (">", "<=")), left.isidentifier()
    excluded = f"every smaller {left}" if named else "all sizes for which it does not hold"
    text = f'Case(constraints=("{left} >= {least}",)) would decide it, and exclude {excluded}'
    if sign in (">", "<="):
        text += f'; ("{left} <= {right}",) ' + ("every larger one" if named else "the others")
    return f"An export for {of} avoids it; {text}."


_COMPARED = re.compile(r"comparison (?P<left>.+?) (?P<sign><=?|>=?) (?P<right>.+?) is inconclusive")
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_FUNCTIONS = frozenset({"mod", "floordiv", "max", "min"})


def as_reply(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON, for a process that answers requests."""
    return {"failure": asdict(of(error)), "details": full_text(error)}


def of_reply(what: str, reply: Mapping[str, Any]) -> RuntimeFailureError:
    """Return the failure that `as_reply` gave in another process; `what` names that process."""
    return _made(what, Failure(**reply["failure"]), reply["details"])


def _made(what: str, failure: Failure, details: str, otherwise: str = "") -> RuntimeFailureError:
    helps = cure(failure) or otherwise
    made = RuntimeFailureError(" ".join(filter(None, (f"{what}: {failure.cause.rstrip('.')}.", helps))))
    made.failure, made.details = failure, details
    return made
