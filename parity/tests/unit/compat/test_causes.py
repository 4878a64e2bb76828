"""An error of a framework becomes one line with its cause and what helps; its text stays for the log."""

import json

import pytest

from parity.compat import causes, known_issues
from parity.core.errors import RuntimeFailureError
from parity.core.failures import (
    CALLING_CONVENTION,
    MISSING_FFI,
    NUMERIC,
    SHAPE_REFINEMENT,
    STABLEHLO_SKEW,
    SYMBOLIC_SHAPE,
    UNKNOWN,
    Failure,
)

NEW = {"jax": "0.10.2", "tensorflow": "2.21.0"}
REMEDY = 'parity.readable_by("tensorflow==2.21.0")'
TOP_K = Failure(SHAPE_REFINEMENT, "stablehlo.dynamic_iota has dynamic shapes", operation="top_k")


def constrained(text):
    return f'Case(constraints=("{text}",))'


@pytest.mark.parametrize(
    ("failure", "parts"),
    [
        (TOP_K, ["one batch size", "top-k-of-any-batch-size"]),
        (Failure(SHAPE_REFINEMENT, "x has dynamic shapes", operation="of_no_entry"), ["one batch size"]),
        (Failure(MISSING_FFI, "lapack_sgetrf_ffi"), ["LU decomposition", causes.NO_REMEDY]),
        (Failure(MISSING_FFI, "lapack_spotrf_ffi"), ["Cholesky", causes.NO_REMEDY, "cholesky-on-cpu"]),
        (Failure(MISSING_FFI, "lapack_cgtsv_ffi"), ["tridiagonal solve", causes.NO_REMEDY]),
        (Failure(MISSING_FFI, "my_own_call"), [causes.NO_REMEDY]),
        (Failure(STABLEHLO_SKEW, "vhlo.composite_v2 in StableHLO 1.15.0", operation="top_k"), [REMEDY]),
        (Failure(CALLING_CONVENTION, "calling convention 10, accepted up to 9"), [REMEDY]),
        (Failure(SYMBOLIC_SHAPE, "comparison b < 8 is inconclusive"), ["one batch size", "b >= 8"]),
        (Failure(SYMBOLIC_SHAPE, "comparison b < 2*t is inconclusive"), ["one batch size"]),
        (Failure(SYMBOLIC_SHAPE, "scan over axis of non-constant size: t"), ["fixed sizes"]),
        (Failure(SYMBOLIC_SHAPE, "comparison t < 24 is inconclusive"), ["one value of t", constrained("t >= 24")]),
        (Failure(SYMBOLIC_SHAPE, "comparison t > 24 is inconclusive"), [constrained("t >= 25"), '"t <= 24"']),
        (Failure(SYMBOLIC_SHAPE, "comparison t <= 24 is inconclusive"), [constrained("t >= 25"), '"t <= 24"']),
        (Failure(SYMBOLIC_SHAPE, "comparison 24 > t is inconclusive"), [constrained("t >= 24")]),
        (
            Failure(SYMBOLIC_SHAPE, "comparison floordiv(t, 2) >= 8 is inconclusive"),
            ["one value of t", constrained("floordiv(t, 2) >= 8")],
        ),
    ],
)
def test_the_cure_follows_from_the_failure_whatever_the_case(failure, parts):
    found = causes.cure(failure, NEW)
    assert all(part in found for part in parts), found
    assert "\n" not in found


def test_a_constraint_is_named_only_where_it_decides():
    assert ">=" not in causes.cure(Failure(SYMBOLIC_SHAPE, "comparison b < 2*t is inconclusive"), NEW)
    assert ">=" not in causes.cure(Failure(SYMBOLIC_SHAPE, "comparison t^2 < 8 is inconclusive"), NEW)
    assert ">=" not in causes.cure(Failure(SYMBOLIC_SHAPE, "Symbolic dimension 'b' used in a context"), NEW)


@pytest.mark.parametrize("kind", [UNKNOWN, NUMERIC])
def test_nothing_is_said_to_help_where_nothing_is_known(kind):
    assert causes.cure(Failure(kind, "top_k"), NEW) == ""


def test_a_known_issue_helps_in_its_range_of_versions_and_its_class_alone():
    old = {**NEW, "jax": "0.8.3"}
    assert "top-k-of-any-batch-size" not in causes.cure(TOP_K, old)
    assert "top-k-of-any-batch-size" in causes.cure(TOP_K, {**NEW, "jax": None})  # JAX wrote it elsewhere
    assert "top-k" not in causes.cure(Failure(MISSING_FFI, "top_k"), NEW)
    sinh = Failure(STABLEHLO_SKEW, "mhlo.sinh", operation="sinh")
    assert REMEDY.split("(", maxsplit=1)[0] not in causes.cure(sinh, {"jax": "0.8.3", "tensorflow": "2.18.1"})


@pytest.mark.parametrize("name", [issue.id for issue in known_issues.load()])
def test_every_listed_issue_names_an_operation_that_it_can_cure(name):
    assert known_issues.find(name).operation is not None


TEXT = "Graph execution error:\n\nNo FFI handler registered for lapack_sgetrf_ffi on a platform Host"


def raised():
    try:
        try:
            raise ValueError(TEXT)
        except ValueError as error:
            raise causes.failed("TensorFlow failed on cpu:0", error) from error
    except RuntimeFailureError as error:
        return error


def test_a_failure_is_one_line_and_keeps_the_text_for_the_log():
    error = raised()
    assert error.failure == Failure(MISSING_FFI, "lapack_sgetrf_ffi")
    assert str(error).startswith("TensorFlow failed on cpu:0: ")
    assert causes.NO_REMEDY in str(error)
    assert "\n" not in str(error)
    assert "Traceback" in causes.full_text(error)
    assert "Graph execution error" in causes.full_text(error)


def test_what_to_do_otherwise_is_said_where_no_cure_is_known():
    assert str(causes.failed("it", ValueError("odd"), "Do this.")) == "it: ValueError: odd. Do this."
    assert "Do this" not in str(causes.failed("it", ModuleNotFoundError("No module named 'x'"), ""))


def test_an_error_crosses_a_process_with_its_class_and_its_text():
    reply = json.loads(json.dumps(causes.as_reply(raised())))
    found = causes.of_reply("in another process", reply)
    assert found.failure == Failure(MISSING_FFI, "lapack_sgetrf_ffi")
    assert str(found).count(causes.NO_REMEDY) == 1
    assert "Graph execution error" in causes.full_text(found)
