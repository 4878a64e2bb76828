"""Operations are judged one by one; what a remedy mends is told apart from what none mends.

What comes out depends on the pair: these tests hold for jax 0.10.2 and tensorflow 2.21.0.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from parity import records
from parity.core.errors import UsageError
from parity.core.failures import MISSING_FFI, SHAPE_REFINEMENT, STABLEHLO_SKEW, SYMBOLIC_SHAPE, UNKNOWN
from parity.probes import operations
from parity.probes.operations import OPERATIONS, Operation, judge, result
from parity.scoring import rules

pytestmark = pytest.mark.usefixtures("frameworks")

READABLE = f"tensorflow=={tf.__version__}"
COMPOSITE = "vhlo.composite_v2 in StableHLO 1.15.0"
DYNAMIC = "stablehlo.dynamic_broadcast_in_dim has dynamic shapes"
MEASURED = {
    "cholesky": (records.ERROR, MISSING_FFI, "lapack_spotrf_ffi"),
    "qr": (records.ERROR, MISSING_FFI, "lapack_sgeqrf_ffi"),
    "eigh": (records.ERROR, MISSING_FFI, "lapack_ssyevd_ffi"),
    "erf": (records.REMEDIED, STABLEHLO_SKEW, COMPOSITE),
    "sinh": (records.REMEDIED, STABLEHLO_SKEW, COMPOSITE),
    "top_k": (records.REMEDIED, STABLEHLO_SKEW, COMPOSITE),
    "erf_symbolic_batch": (records.ERROR, SHAPE_REFINEMENT, DYNAMIC),
    "sinh_symbolic_batch": (records.ERROR, SHAPE_REFINEMENT, DYNAMIC),
    "top_k_symbolic_batch": (records.ERROR, SHAPE_REFINEMENT, "stablehlo.dynamic_iota has dynamic shapes"),
}
this_pair = pytest.mark.skipif(
    (jax.__version__, tf.__version__) != ("0.10.2", "2.21.0"), reason="measured with jax 0.10.2 and tensorflow 2.21.0"
)


@pytest.fixture(scope="module")
def table():
    return {name: result(name, tf.__version__) for name in OPERATIONS}


@pytest.fixture
def plant(monkeypatch):
    """Plants an operation."""

    def planted(function, symbolic_batch=False):
        monkeypatch.setitem(OPERATIONS, "planted", Operation(function, (6, 8), symbolic_batch))
        return "planted"

    return planted


@this_pair
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_comes_out_as_measured(table, name):
    found = table[name]
    assert (found.status, found.failure, found.evidence) == MEASURED.get(name, (records.PASS, None, None))
    assert (found.score is None) == (found.status == records.ERROR)
    assert found.score is None or found.score < 4


@this_pair
def test_a_remedied_operation_tells_how_and_what_it_mended(table):
    message = f"passes readable by tensorflow==2.21.0; as exported by default: {STABLEHLO_SKEW}: {COMPOSITE}"
    assert table["erf"].message == message


@this_pair
def test_what_no_remedy_mends_tells_both_failures(table):
    message, evidence = table["erf_symbolic_batch"].message, table["erf_symbolic_batch"].evidence
    assert f"of erf: {evidence}; " in message
    assert message.endswith(f"as exported by default: {STABLEHLO_SKEW}: {COMPOSITE}")


@this_pair
def test_without_and_with_the_remedy():
    assert (judge("erf").status, judge("erf").failure) == (records.ERROR, STABLEHLO_SKEW)
    assert judge("erf", "tensorflow==2.21.0").status == records.PASS
    assert judge("cholesky", "tensorflow==2.21.0").failure == MISSING_FFI


@this_pair
def test_where_the_remedy_is_not_known_the_failure_stays(monkeypatch):
    monkeypatch.setattr(operations, "OPERATIONS", {"erf": OPERATIONS["erf"]})
    found = result("erf", "2.99.0")
    assert (found.status, found.failure, found.evidence) == (records.ERROR, STABLEHLO_SKEW, COMPOSITE)
    assert "no remedy: 'tensorflow==2.99.0': what this release reads is not known" in found.message
    with pytest.raises(UsageError, match="not known"):
        judge("erf", "tensorflow==2.99.0")


@this_pair
def test_a_planted_skew_is_remedied(monkeypatch):
    planted = Operation(lambda x: jnp.sinh(x) + jax.lax.top_k(x, 8)[0], (6, 8))
    monkeypatch.setattr(operations, "OPERATIONS", {"planted": planted})
    found = result("planted", "2.21.0")
    assert (found.leaf, found.status, found.evidence) == ("planted", records.REMEDIED, COMPOSITE)


@pytest.mark.parametrize("relative", [1e-4, 1e-2])
def test_a_planted_wrong_answer_fails(plant, relative):
    """Wrong only where the batch size is symbolic, so that JAX's own answer and the oracle are right."""

    def wrong(x):
        return x @ x.T * (1.0 if isinstance(x.shape[0], int) else 1.0 + relative)

    found = judge(plant(wrong, symbolic_batch=True), READABLE)
    assert found.status == records.FAIL
    assert found.score > rules.LIMIT
    assert found.message.endswith("TensorFlow moved, JAX is where it should be")
    assert judge(plant(wrong), READABLE).status == records.PASS


def test_an_answer_of_another_shape_fails(plant):
    name = plant(lambda x: x * 2.0 if isinstance(x.shape[0], int) else (x * 2.0).sum(axis=1), symbolic_batch=True)
    found = judge(name, READABLE)
    assert (found.status, found.message) == (records.FAIL, "shape (6,), JAX's is (6, 8)")


def sized(x):
    return x * 2.0 if int(x.shape[0]) else x


def odd(x):
    if not isinstance(x.shape[0], int):
        raise ArithmeticError("odd\nand more")
    return x


@pytest.mark.parametrize(("function", "kind"), [(sized, SYMBOLIC_SHAPE), (odd, UNKNOWN)])
def test_an_operation_that_cannot_be_converted_is_an_error_of_its_class(plant, function, kind):
    found = judge(plant(function, symbolic_batch=True))
    assert (found.status, found.failure) == (records.ERROR, kind)
    assert "\n" not in found.evidence + found.message
    assert found.message


@pytest.mark.parametrize("name", ["cholesky", "qr", "eigh"])
def test_the_answer_of_a_decomposition_is_unique_and_well_conditioned(name):
    """Another algorithm, numpy's, gives the same within the limit: no sign or phase is left to choice."""
    operation = OPERATIONS[name]
    x = operations._input(operation.shape)
    definite = x @ x.T + np.eye(len(x), dtype=x.dtype)
    r = np.linalg.qr(x)[1]
    other = {
        "cholesky": lambda: np.linalg.cholesky(definite),
        "qr": lambda: r * np.sign(np.diagonal(r))[:, None],
        "eigh": lambda: np.linalg.eigh(definite)[0],
    }[name]()
    jax_answer, oracle, budgets = operations._expected(operation.function, operation.shape)
    [found] = rules.judge({"": other}, jax_answer, oracle, budgets, rules.LIMIT)
    assert (found.status, found.score < 4) == (records.PASS, True)
    [moved] = rules.judge({"": other * np.float32(1.0001)}, jax_answer, oracle, budgets, rules.LIMIT)
    assert moved.status == records.FAIL


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_is_judged_powerless(name):
    """An answer off by 1e-3 fails, whatever the operation."""
    operation = OPERATIONS[name]
    jax_answer, oracle, budgets = operations._expected(operation.function, operation.shape)
    [found] = rules.judge({"": jax_answer[""] * np.float32(1.001)}, jax_answer, oracle, budgets, rules.LIMIT)
    assert found.status == records.FAIL


def test_the_input_is_the_same_every_time():
    assert (operations._input((6, 8)) == operations._input((6, 8))).all()


def test_a_symbolic_batch_asks_the_same_function():
    for name, operation in OPERATIONS.items():
        if operation.symbolic_batch:
            assert OPERATIONS[name.removesuffix("_symbolic_batch")] == replace(operation, symbolic_batch=False)
