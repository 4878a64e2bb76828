"""Failures are classified from the texts in which they were met; a text that only mentions their words is not."""

import pytest

from parity.core import failures
from parity.core.errors import ParityError
from parity.core.failures import (
    CALLING_CONVENTION,
    IMPORT,
    MISSING_FFI,
    RESOLVER,
    SHAPE_REFINEMENT,
    STABLEHLO_SKEW,
    SYMBOLIC_SHAPE,
    UNKNOWN,
    Failure,
    classify,
    headline,
)


def graph(message):
    """As TensorFlow 2.16 to 2.21 report what failed in a graph."""
    return f"""Graph execution error:

Detected at node XlaCallModule defined at (most recent call last):
  File "/somewhere/model.py", line 31, in <module>

  File "/somewhere/site-packages/jax/experimental/jax2tf/jax2tf.py", line 310, in converted_fun_tf

  File "/somewhere/site-packages/tensorflow/compiler/tf2xla/ops/gen_xla_ops.py", line 420, in xla_call_module

{message}
\t [[{{{{node XlaCallModule}}}}]]
\t [[XlaCallModule]] [Op:__inference_converted_fun_tf_42]"""


def reloaded(message):
    """The same from a SavedModel."""
    return f"""Graph execution error:

Detected at node XlaCallModule defined at (most recent call last):
<stack traces unavailable>
{message}
\t [[{{{{node XlaCallModule}}}}]]
\t [[StatefulPartitionedCall/XlaCallModule]] [Op:__inference_restored_function_body_107]"""


def eager(message):
    function = "__wrapped__XlaCallModule_Tin_1_Tout_1_device_/job:localhost/replica:0/task:0/device:CPU:0"
    return f"{{{{function_node {function}}}}} {message} [Op:XlaCallModule] name: "


ERF = """Cannot deserialize computation: UNKNOWN: /somewhere/model.py:31:25: error: unregistered operation \
'vhlo.composite_v2' found in dialect ('vhlo') that does not allow unknown operations
            y=np.asarray(g(tf.constant(x)))
                        ^
/somewhere/model.py:31:25: note: see current operation: %41 = "vhlo.composite_v2"(%arg1) <#vhlo.dict_v1<{}>> : \
(!vhlo.tensor_v1<6x8x!vhlo.f32_v1>) -> !vhlo.tensor_v1<6x8x!vhlo.f32_v1>
/somewhere/model.py:31:25: note: in bytecode version 6 produced by: StableHLO_v1.15.0
<unknown>:0: error: failed to deserialize portable artifact using StableHLO_v1.13.7
"""
SHAPE_ASSERTION = """Cannot deserialize computation: UNKNOWN: <unknown>:0: error: loc("shape_assertion"): unregistered \
operation 'vhlo.custom_call_v2' found in dialect ('vhlo') that does not allow unknown operations
<unknown>:0: note: loc("shape_assertion"): see current operation: "vhlo.custom_call_v2"(%8, %7) \
<#vhlo<api_version_v1 API_VERSION_STATUS_RETURNING>> {error_message = #vhlo.string_v1<"Input shapes do not match the \
polymorphic shapes specification. Expected value >= 1 for dimension variable 'b'. ">} : \
(!vhlo.tensor_v1<!vhlo.bool_v1>, !vhlo.tensor_v1<!vhlo.i32_v1>) -> ()
<unknown>:0: note: loc("shape_assertion"): in bytecode version 6 produced by: StableHLO_v1.18.0
<unknown>:0: error: failed to deserialize portable artifact using StableHLO_v1.13.7
"""
MHLO_SINH = """MHLO->HLO lowering passes failed: UNKNOWN: <unknown>:0: error: loc("sinh"): unregistered operation \
'mhlo.sinh' found in dialect ('mhlo') that does not allow unknown operations
<unknown>:0: note: loc("sinh"): see current operation: %0 = "mhlo.sinh"(%arg0) : (tensor<6x8xf32>) -> tensor<6x8xf32>
"""
LOG_OF_2_19 = """I0000 00:00:1 26094 device_compiler.h:188] Compiled cluster using XLA!
loc("jit(gelu)/jit(main)/tanh"): error: unregistered operation 'vhlo.tanh_v2' found in dialect ('vhlo') that does not \
allow unknown operations
error: failed to deserialize portable artifact using StableHLO_v1.9.1
E0000 00:00:1 26094 graph_compiler.cc:153] Executor failed to create kernel. INVALID_ARGUMENT: Cannot deserialize \
computation
\t [[{{node XlaCallModule}}]]
"""
LOG_OF_2_18 = """loc("-":0:0): error: unknown attribute code: 22
E0000 00:00:1 23472 graph_compiler.cc:153] Executor failed to create kernel. INVALID_ARGUMENT: Cannot deserialize \
computation
\t [[{{node XlaCallModule}}]]
"""
LOG_OF_2_16 = """E0000 00:00:1 23656 simple_orc_jit.cc:426] Unable to resolve runtime symbol: `lapack_spotrf'. Hint: \
if the symbol a custom call target, make sure you've registered it with the JIT.
JIT session error: Symbols not found: [ lapack_spotrf ]
"""
LOG_OF_2_21 = """W0000 00:00:1 24014 op_kernel.cc:1858] OP_REQUIRES failed at xla_compile_on_demand_op.cc:316 : \
NOT_FOUND: No FFI handler registered for lapack_ssyevd_ffi on a platform Host (canonical host)
"""
ERF_REFINED = """Module has dynamic shapes: UNKNOWN: /somewhere/model.py:32:25: error: \
'stablehlo.dynamic_broadcast_in_dim' op has dynamic shapes
/somewhere/model.py:32:25: note: see current operation: %21 = "stablehlo.dynamic_broadcast_in_dim"(%15, %20) \
<{broadcast_dimensions = array<i64>}> : (tensor<f32>, tensor<2xi32>) -> tensor<?x8xf32>
/somewhere/model.py:32:25: error: 'stablehlo.clamp' op has dynamic shapes
"""
TOP_K_REFINED = """Module has dynamic shapes: UNKNOWN: <unknown>:0: error: loc("jit(<lambda>)/top_k"): \
'stablehlo.dynamic_iota' op has dynamic shapes
<unknown>:0: note: loc("jit(<lambda>)/top_k"): see current operation: %11 = "stablehlo.dynamic_iota"(%8) \
<{iota_dimension = 1 : i64}> : (tensor<2xi64>) -> tensor<?x8xi32>
"""
ERFC_REFINED = """Module shape refinement failed: UNKNOWN: <unknown>:0: error: loc("erfc"): operand at index 0 has \
type 'tensor<6x8xf32>', but decomposition has type 'tensor<?x8xf32>'


Stack trace for op definition: 
dummy_file_name:10:dummy_function_name
"""  # noqa: W291 - as it was written
INCONCLUSIVE = """InconclusiveDimensionOperation: Symbolic dimension comparison 'b' < '8' is inconclusive.
This error arises for comparison operations with shapes that
are non-constant, and the result of the operation cannot be represented as
a boolean value for all values of the symbolic dimensions involved.

Please see https://docs.jax.dev/en/latest/export/shape_poly.html#comparison-of-symbolic-dimensions-is-partially-supported
for more details.
"""
REQUIRES_A_CONSTANT = """InconclusiveDimensionOperation: Symbolic dimension 'b' used in a context that requires a \
constant
This error arises for comparison operations with shapes that
are non-constant, and the result of the operation cannot be represented as
"""
SCAN = (
    "NotImplementedError: associative scan over axis of non-constant size: b. You may be able to avoid this on TPU. "
    "See b/274176030."
)
CONVOLUTION = (
    "NotImplementedError: Convolutions with non-static strides, dilation, feature_group_count, or batch_group_count"
)
RANGE = "TypeError: '_DimExpr' object cannot be interpreted as an integer"
PERMUTATION = (
    "NotImplementedError: shape polymorphism for `permutation` or `shuffle` for arrays of non-constant size: b"
)


def staged(message):
    """As TensorFlow reports what code that it traced raised: jax 0.10.2 and tensorflow 2.21.0, chol."""
    indented = "".join(f"    {line}\n" for line in message.splitlines())
    return f"""in user code:

    File "/somewhere/site-packages/jax/experimental/jax2tf/jax2tf.py", line 533, in grad_fn_tf
        in_cts_flat = convert(
    File "/somewhere/lib/python3.11/contextlib.py", line 81, in inner
        return func(*args, **kwds)
    File "/somewhere/site-packages/jax/_src/export/shape_poly.py", line 862, in __lt__
        return not _geq_decision(self, other, lambda: f"'{{self}}' < '{{other}}'")

{indented}
"""


WRAPPED = """Error when tracing gradients for SavedModel.

Check the error log to see the error that was raised when converting a gradient function to a concrete function. You \
may need to update the custom gradient, or disable saving gradients with the option \
tf.saved_model.SaveOptions(experimental_custom_gradients=False).
\tProblematic op name: IdentityN
\tGradient inputs: (<tf.Tensor 'XlaCallModule_1:0' shape=() dtype=float32>)"""
NO_GRADIENT = (
    "NotImplementedError: VJP not implemented for select_and_gather (MaxPool) with window dilation, got "
    "window_dilation=(1, 2, 2, 1)."
)
VERIFIER = """Cannot lower jaxpr with verifier errors:
\t'stablehlo.transpose' op requires compatible element types for all operands and results
\t\tat loc("jit(<lambda>)/transpose")
\tsee current operation: %33 = "stablehlo.transpose"(%32) <{permutation = array<i64: 1, 0>}>
Define JAX_DUMP_IR_TO to dump the module."""
TOO_NEW_CONVENTION = (
    "XlaCallModule from your TensorFlow installation supports up to serialization version 9 but the serialized module "
    "needs version 10. You should upgrade TensorFlow, e.g., to tf_nightly."
)
UV = """Using Python 3.12.1 environment at: somewhere
error: No solution found when resolving dependencies
  cause: Because tensorflow-cpu==2.16.2 depends on ml-dtypes>=0.3.1,<0.4.dev0 and jax>=0.12.0.1 depends on \
ml-dtypes>=0.5.0, we can conclude that jax>=0.12.0.1 and tensorflow-cpu==2.16.2 are incompatible.
         And because you require jax==0.12.0.1 and tensorflow-cpu==2.16.2, we can conclude that your requirements are \
unsatisfiable.
"""
OLDER_UV = """Using Python 3.12.1 environment at: somewhere
  × No solution found when resolving dependencies:
  ╰─▶ Because jax==0.12.0.1 depends on ml-dtypes>=0.5.0 and
      tensorflow-cpu==2.16.2 depends on ml-dtypes>=0.3.1,<0.4.dev0, we can
      conclude that jax==0.12.0.1 and tensorflow-cpu==2.16.2 are incompatible.
"""  # noqa: RUF001 - uv's own sign
UV_PYTHON = """error: No solution found when resolving dependencies
  cause: Because the current Python version (3.11.7) does not satisfy Python>=3.12 and jax==0.12.0.1 depends on \
Python>=3.12, we can conclude that jax==0.12.0.1 cannot be used.
"""
UV_WHEELS = """error: No solution found when resolving dependencies
  cause: Because tensorflow==2.16.2 has no wheels with a matching Python ABI tag (e.g., `cp313`) and you require \
tensorflow==2.16.2, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.13 (`cp313`), but we only found wheels for `tensorflow` (v2.16.2) with the following \
Python ABI tags: `cp39`, `cp310`, `cp311`, `cp312`
"""
PIP = """ERROR: Cannot install jax==0.9.2 and tensorflow-cpu==2.16.2 because these package versions have conflicting \
dependencies.
ERROR: ResolutionImpossible: for help visit \
https://pip.pypa.io/en/latest/topics/dependency-resolution/#dealing-with-dependency-conflicts
"""
PIP_PYTHON = """ERROR: Could not find a version that satisfies the requirement jax==0.12.0.1 (from versions: 0.10.2)
ERROR: No matching distribution found for jax==0.12.0.1
"""
NO_MODULE = """Traceback (most recent call last):
  File "/somewhere/model.py", line 3, in <module>
    import flax
ModuleNotFoundError: No module named 'flax'
"""
GONE = "ImportError: cannot import name 'nope' from 'flax.core' (/somewhere/site-packages/flax/core/__init__.py)"

MET = {
    "jax 0.10.2, tensorflow 2.21.0, erf": (graph(ERF), STABLEHLO_SKEW, "vhlo.composite_v2 in StableHLO 1.15.0"),
    "the same, eager": (eager(ERF), STABLEHLO_SKEW, "vhlo.composite_v2 in StableHLO 1.15.0"),
    "jax 0.12.0.1, tensorflow 2.21.0, symbolic batch": (
        graph(SHAPE_ASSERTION),
        STABLEHLO_SKEW,
        "vhlo.custom_call_v2 in StableHLO 1.18.0",
    ),
    "the same, as parity wraps it": (
        f"case 'tiny' cannot be exported: InvalidArgumentError: {graph(SHAPE_ASSERTION)}. Run parity doctor.",
        STABLEHLO_SKEW,
        "vhlo.custom_call_v2 in StableHLO 1.18.0",
    ),
    "jax 0.8.3 with remedy, tensorflow 2.18.1, sinh": (graph(MHLO_SINH), STABLEHLO_SKEW, "mhlo.sinh"),
    "jax 0.6.2, tensorflow 2.19.1, gelu: the log": (LOG_OF_2_19, STABLEHLO_SKEW, "vhlo.tanh_v2"),
    "jax 0.5.3, tensorflow 2.18.1: the log": (LOG_OF_2_18, STABLEHLO_SKEW, "unknown attribute code: 22"),
    "jax 0.5.3, tensorflow 2.18.1: the error": (
        graph("Cannot deserialize computation"),
        STABLEHLO_SKEW,
        "Cannot deserialize computation",
    ),
    "the same error, eager": (
        eager("Cannot deserialize computation\n\t [[{{node XlaCallModule}}]]"),
        STABLEHLO_SKEW,
        "Cannot deserialize computation",
    ),
    "jax 0.8.3, tensorflow 2.18.1": (
        TOO_NEW_CONVENTION,
        CALLING_CONVENTION,
        "calling convention 10, accepted up to 9",
    ),
    "jax 0.10.2's SavedModel in tensorflow 2.19.1": (
        reloaded("XlaCallModuleOp with version 10 is not supported by this build. Must be <= 9"),
        CALLING_CONVENTION,
        "calling convention 10, accepted up to 9",
    ),
    "cholesky in tensorflow 2.21.0": (
        graph("No FFI handler registered for lapack_spotrf_ffi on a platform Host (canonical host)"),
        MISSING_FFI,
        "lapack_spotrf_ffi",
    ),
    "eigh in tensorflow 2.21.0: the log": (LOG_OF_2_21, MISSING_FFI, "lapack_ssyevd_ffi"),
    "qr in tensorflow 2.19.1": (
        eager("No registered implementation for FFI custom call to lapack_sgeqrf_ffi for Host"),
        MISSING_FFI,
        "lapack_sgeqrf_ffi",
    ),
    "jax 0.4.38, cholesky in tensorflow 2.19.1": (
        graph("No registered implementation for untyped custom call to lapack_spotrf for Host"),
        MISSING_FFI,
        "lapack_spotrf",
    ),
    "qr in tensorflow 2.17.1": (
        graph("CustomCall failed: No registered implementation for custom call to lapack_sgeqrf_ffi for Host."),
        MISSING_FFI,
        "lapack_sgeqrf_ffi",
    ),
    "jax 0.4.30, cholesky in tensorflow 2.16.2": (
        graph("Symbol XlaCallModule.39 not found."),
        MISSING_FFI,
        "a custom call that TensorFlow does not name",
    ),
    "the same: the log": (LOG_OF_2_16, MISSING_FFI, "lapack_spotrf"),
    "erf, symbolic batch, with remedy": (
        graph(ERF_REFINED),
        SHAPE_REFINEMENT,
        "stablehlo.dynamic_broadcast_in_dim has dynamic shapes",
    ),
    "top_k, symbolic batch, with remedy": (
        graph(TOP_K_REFINED),
        SHAPE_REFINEMENT,
        "stablehlo.dynamic_iota has dynamic shapes",
    ),
    "jax 0.12.0.1, exact gelu, symbolic batch, with remedy": (
        graph(ERFC_REFINED),
        SHAPE_REFINEMENT,
        "the decomposition of a composite has dynamic shapes",
    ),
    "cholesky and a triangular solve, symbolic batch": (
        INCONCLUSIVE,
        SYMBOLIC_SHAPE,
        "comparison b < 8 is inconclusive",
    ),
    "the same, in code that TensorFlow traced": (
        f"StagingError: {staged(INCONCLUSIVE)}",
        SYMBOLIC_SHAPE,
        "comparison b < 8 is inconclusive",
    ),
    "int() of a symbolic size": (
        REQUIRES_A_CONSTANT,
        SYMBOLIC_SHAPE,
        "Symbolic dimension 'b' used in a context that requires a constant",
    ),
    "cumlogsumexp along the batch": (
        f"StagingError: {staged(SCAN)}",
        SYMBOLIC_SHAPE,
        "associative scan over axis of non-constant size: b. You may be able to avoid this on TPU. See b/274176030.",
    ),
    "a convolution with a kernel for each example": (
        CONVOLUTION,
        SYMBOLIC_SHAPE,
        "Convolutions with non-static strides, dilation, feature_group_count, or batch_group_count",
    ),
    "a loop over the batch": (
        f"StagingError: {staged(RANGE)}",
        SYMBOLIC_SHAPE,
        "'_DimExpr' object cannot be interpreted as an integer",
    ),
    "a permutation of the batch": (
        PERMUTATION,
        SYMBOLIC_SHAPE,
        "shape polymorphism for `permutation` or `shuffle` for arrays of non-constant size: b",
    ),
    "a module that is not installed": (NO_MODULE, IMPORT, "No module named 'flax'"),
    "the same, told by pytest": ("E   ModuleNotFoundError: No module named 'flax'\n", IMPORT, "No module named 'flax'"),
    "the same, told by parity": (
        "tensorflow cannot be imported: No module named 'tensorflow'. Expected both frameworks; install them.",
        IMPORT,
        "No module named 'tensorflow'",
    ),
    "a name that is gone": (GONE, IMPORT, "cannot import name 'nope' from 'flax.core'"),
    "uv": (
        UV,
        RESOLVER,
        "tensorflow-cpu==2.16.2 depends on ml-dtypes>=0.3.1,<0.4.dev0 and jax>=0.12.0.1 depends on ml-dtypes>=0.5.0",
    ),
    "uv up to 0.8": (
        OLDER_UV,
        RESOLVER,
        "jax==0.12.0.1 depends on ml-dtypes>=0.5.0 and tensorflow-cpu==2.16.2 depends on ml-dtypes>=0.3.1,<0.4.dev0",
    ),
    "uv, Python": (
        UV_PYTHON,
        RESOLVER,
        "the current Python version (3.11.7) does not satisfy Python>=3.12 and jax==0.12.0.1 depends on Python>=3.12",
    ),
    "uv, wheels": (
        UV_WHEELS,
        RESOLVER,
        "tensorflow==2.16.2 has no wheels with a matching Python ABI tag (e.g., `cp313`) and you require "
        "tensorflow==2.16.2",
    ),
    "pip": (
        PIP,
        RESOLVER,
        "Cannot install jax==0.9.2 and tensorflow-cpu==2.16.2 because these package versions have conflicting "
        "dependencies",
    ),
    "pip, Python": (PIP_PYTHON, RESOLVER, "No matching distribution found for jax==0.12.0.1"),
}
ONLY_MENTIONED = (
    "the README says 'No FFI handler registered for lapack_spotrf_ffi on a platform Host' of cholesky",
    "ValueError: no implementation for 'predict', no handler registered for it",
    "ValueError: supports up to version 9 of the file format, this one needs version 10",
    "a listed issue (unregistered operation 'vhlo.custom_call_v2' found in dialect ('vhlo')) passed",
    "KeyError: 'unregistered operation'",
    "OSError: Cannot deserialize computation cache",
    "the module has dynamic shapes: that is what a symbolic batch is for",
    "ValueError: Module has dynamic shapes and static ones",
    "shape refinement took 3 s",
    "TypeError: catch ImportError: it hides a missing extra",
    "no solution found when resolving dependencies of the case",
    "test_resolver.py: 'No solution found when resolving dependencies' is told",
    "AssertionError: score 70 over the limit 64",
    "InvalidArgumentError: Input shapes do not match the polymorphic shapes specification.",
)


@pytest.mark.parametrize("name", MET)
def test_a_failure_that_was_met_is_classified_with_its_exact_evidence(name):
    text, kind, evidence = MET[name]
    assert classify(text) == Failure(kind, evidence)


@pytest.mark.parametrize("name", MET)
def test_the_cause_is_one_line_with_the_evidence_and_no_program(name):
    text, _, evidence = MET[name]
    cause = classify(text).cause
    assert evidence in cause
    assert "\n" not in cause
    assert not any(word in cause for word in ("loc(", "tensor<", "see current operation", "File "))
    assert len(cause) <= 2 * failures.LONGEST


@pytest.mark.parametrize(
    ("text", "operation"),
    [(graph(TOP_K_REFINED), "top_k"), (graph(ERFC_REFINED), "erfc"), (graph(ERF_REFINED), ""), (MHLO_SINH, "sinh")],
)
def test_the_operation_of_jax_is_that_of_the_first_place_in_the_text(text, operation):
    assert classify(text).operation == operation


class StagingError(Exception):
    """As TensorFlow names it."""


class JaxStackTraceBeforeTransformation(Exception):
    """A traceback of JAX, which it adds as the cause of an exception."""


def raised(error, cause=None):
    """The error, as it is after it was raised from its cause."""
    error.__cause__ = cause
    return error


def test_the_cause_of_a_wrapper_is_at_the_end_of_its_chain():
    error = raised(ValueError(WRAPPED), StagingError(staged(INCONCLUSIVE)))
    assert failures.of(error) == Failure(SYMBOLIC_SHAPE, "comparison b < 8 is inconclusive")
    assert failures.of(raised(ValueError(WRAPPED), StagingError(staged(NO_GRADIENT)))).cause == NO_GRADIENT
    assert failures.of(ValueError(WRAPPED)).kind == UNKNOWN  # nothing more is known


def test_an_error_that_is_no_wrapper_speaks_for_itself_unless_a_cause_of_it_has_a_class():
    assert failures.of(raised(KeyError("layer"), OSError("no file"))).cause == "KeyError: 'layer'"
    unregistered = RuntimeError(graph("No FFI handler registered for f on a platform Host"))
    assert failures.of(raised(RuntimeError("the call failed"), unregistered)) == Failure(MISSING_FFI, "f")


def test_a_traceback_that_jax_adds_is_no_cause():
    trace = JaxStackTraceBeforeTransformation(f"E: {INCONCLUSIVE}")
    assert failures.of(raised(TypeError("add got incompatible shapes"), trace)).kind == UNKNOWN


def test_an_error_that_knows_its_failure_has_that():
    error = ParityError("TensorFlow failed")
    error.failure = Failure(MISSING_FFI, "f")
    assert failures.of(error) is error.failure


def test_every_class_that_has_a_text_was_met():
    assert {kind for _, kind, _ in MET.values()} == set(failures.CLASSES) - {"crash", "timeout", "numeric", UNKNOWN}
    assert {STABLEHLO_SKEW, CALLING_CONVENTION} == set(failures.REMEDIABLE)


@pytest.mark.parametrize("text", ONLY_MENTIONED)
def test_words_that_are_only_mentioned_are_no_evidence(text):
    assert classify(text) == Failure(UNKNOWN, text)


def test_the_reader_s_version_is_not_taken_for_the_writer_s():
    assert classify(graph(ERF.replace("produced by: StableHLO_v1.15.0", "6"))).evidence == "vhlo.composite_v2"
    alone = "<unknown>:0: error: failed to deserialize portable artifact using StableHLO_v1.13.7\n"
    assert classify(alone) == Failure(STABLEHLO_SKEW, "newer than StableHLO 1.13.7")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (graph("Out of range: step 3"), "Out of range: step 3"),
        (reloaded("Out of range: step 3"), "Out of range: step 3"),
        (eager("Out of range: step 3"), "Out of range: step 3"),
        (f"case 'tiny' failed: InternalError: {graph('Broken.')}", "case 'tiny' failed: InternalError: Broken."),
        (NO_MODULE, "ModuleNotFoundError: No module named 'flax'"),
        (f"StagingError: {staged(NO_GRADIENT)}", NO_GRADIENT),
        (
            f"ValueError: {VERIFIER}",
            "ValueError: Cannot lower jaxpr with verifier errors: 'stablehlo.transpose' op requires compatible element "
            "types for all operands and results",
        ),
        (
            "inferred 'tensor<13x4xf32>' and 'tensor<?x4xcomplex<f32>>', not tensor<i1>",
            "inferred 'float32[13, 4]' and 'complex64[?, 4]', not bool[]",
        ),
        (GONE, "ImportError: cannot import name 'nope' from 'flax.core' (__init__.py)"),
        (
            "<function f at 0x7fcc16754fe0> of /somewhere/model.py:3 raised\nand more",
            "<function f> of model.py:3 raised",
        ),
        ("see https://docs.jax.dev/en/latest/errors.html#x", "see https://docs.jax.dev/en/latest/errors.html#x"),
        ("one   and\ttwo", "one and two"),
        ("", "no message"),
        ("  \n\n", "no message"),
        ("  File", "no message"),
    ],
)
def test_the_headline_is_one_line_without_paths_and_addresses(text, line):
    assert headline(text) == line


def test_long_evidence_is_cut():
    cut = classify("word " * 100).evidence
    assert len(cut) == failures.LONGEST
    assert cut.endswith("…")
    assert len(classify(f"ModuleNotFoundError: {'m' * 500}").evidence) == failures.LONGEST


def test_a_long_log_is_classified_at_once():
    """No pattern may walk the text once per line of it."""
    log = "W0000 00:00:1 24014 op_kernel.cc:1858] OP_REQUIRES failed: something unregistered operation\n" * 20_000
    assert classify(log).kind == UNKNOWN
    assert classify(log + LOG_OF_2_21).kind == MISSING_FFI
