"""Batches fill their specs, and a message about one that does not names the thing, what was expected, and the fix."""

import re

import numpy as np
import pytest

from parity.cases import specs
from parity.cases.specs import Batch, Spec, validate
from parity.core.errors import InputError
from parity.tests.support import samples

IMAGES, LABELS = Spec("b", 4, 4, 1), Spec("b", dtype="int32")
NAMED = {"user": Spec("b", dtype="int32"), "item": Spec("b", 3)}


def images(size=5, shape=(4, 4, 1), dtype=np.float32):
    return np.zeros((size, *shape), dtype)


def labels(size=5, dtype=np.int32):
    return np.zeros(size, dtype)


def named(users=5, items=5):
    return {"user": np.zeros(users, np.int32), "item": np.zeros((items, 3), np.float32)}


def test_what_a_function_returned_is_shown_by_dtype_and_shape():
    assert specs.shown(images(2)) == "float32[2, 4, 4, 1]"
    assert specs.shown({"a": np.int32(1), "b": (None, [labels()])}) == "{a: int32[], b: (None, (int32[5]))}"


def test_a_batch_that_fills_its_specs_is_taken():
    validate(Batch(images(), labels()), IMAGES, LABELS, "tiny")
    validate(Batch(named(), labels()), NAMED, LABELS, "tiny")
    validate(Batch(images(), {"a": labels(), "b": labels()}), IMAGES, {"b": LABELS, "a": LABELS}, "tiny")


SHAPE = "Reshape the data, or correct the case's spec."
REFUSED = {
    "shape": (
        Batch(images(shape=(4, 5, 1)), labels()),
        f"tiny: data 'data' is float32[5, 4, 5, 1], expected float32[b, 4, 4, 1]. {SHAPE}",
    ),
    "rank": (
        Batch(images(shape=(4, 4)), labels()),
        f"tiny: data 'data' is float32[5, 4, 4], expected float32[b, 4, 4, 1]. {SHAPE}",
    ),
    "no rank": (
        Batch(np.float32(1) + np.zeros((), np.float32), labels()),
        "tiny: data 'data' is a float32, expected a numpy array float32[b, 4, 4, 1].",
    ),
    "scalar array": (
        Batch(np.zeros((), np.float32), labels()),
        f"tiny: data 'data' is float32[], expected float32[b, 4, 4, 1]. {SHAPE}",
    ),
    "dtype": (
        Batch(images(dtype=np.float64), labels()),
        "tiny: data 'data' is float64[5, 4, 4, 1], expected float32[b, 4, 4, 1]. Convert it with .astype('float32').",
    ),
    "dtype of labels": (
        Batch(images(), labels(dtype=np.int64)),
        "tiny: labels 'data' is int64[5], expected int32[b]. Convert it with .astype('int32').",
    ),
    "scalar label": (
        Batch(images(), np.zeros((), np.int32)),
        f"tiny: labels 'data' is int32[], expected int32[b]. {SHAPE}",
    ),
    "empty": (
        Batch(images(0), labels(0)),
        "tiny: data 'data' is empty. Expected a batch size of at least 1.",
    ),
    "lengths": (
        Batch(images(5), labels(4)),
        "tiny: labels 'data' has 4 rows, other inputs have 5. Give every input the same number.",
    ),
    "list": (
        Batch([[1.0]], labels()),
        "tiny: data 'data' is a list, expected a numpy array float32[b, 4, 4, 1].",
    ),
    "number": (
        Batch(3, labels()),
        "tiny: data 'data' is a int, expected a numpy array float32[b, 4, 4, 1].",
    ),
    "names for one array": (
        Batch(named(), labels()),
        "tiny: data has ['item', 'user'], expected ['data']. Name the arrays as the case does.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_batch_that_does_not_is_refused(what):
    batch, message = REFUSED[what]
    with pytest.raises(InputError, match=f"^{re.escape(message)}$") as raised:
        validate(batch, IMAGES, LABELS, "tiny")
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"user": labels()}, "data has ['user'], expected ['item', 'user']"),
        ({**named(), "more": labels()}, "data has ['item', 'more', 'user'], expected ['item', 'user']"),
        (labels(), "data has ['data'], expected ['item', 'user']"),
        (named(items=4), "has 5 rows, other inputs have 4"),
        ({**named(), "user": None}, "data 'user' is a NoneType, expected a numpy array int32[b]"),
    ],
    ids=["missing", "extra", "unnamed", "lengths", "no array"],
)
def test_named_inputs_are_checked_by_name(given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        validate(Batch(given, labels(4)), NAMED, LABELS, "tiny")


def test_a_name_means_one_size_in_all_arrays():
    data = {"x": Spec("t", "b"), "y": Spec("b", 2, "t"), "z": Spec(3)}
    arrays = {"x": np.zeros((5, 4), np.float32), "y": np.zeros((4, 2, 5), np.float32), "z": np.zeros(3, np.float32)}
    batch = Batch(arrays, labels(4), (data, LABELS))
    validate(batch, data, LABELS, "tiny")
    assert (batch.size, batch.sizes) == (4, {"b": 4, "t": 5})
    for name, shape, message in (
        ("y", (4, 2, 6), "data 'y' has 6 for \"t\", other inputs have 5. Give every input the same size."),
        ("y", (3, 2, 5), "data 'y' has 3 rows, other inputs have 4"),
        ("x", (0, 4), "data 'x' is empty. Expected a size \"t\" of at least 1."),
        ("z", (4,), "data 'z' is float32[4], expected float32[3]"),
    ):
        other = {**arrays, name: np.zeros(shape, np.float32)}
        with pytest.raises(InputError, match=re.escape(message)):
            validate(Batch(other, labels(4)), data, LABELS, "tiny")


def test_take_gives_the_first_examples():
    taken = Batch(named(), np.arange(5)).take(2)
    assert (taken.size, [*taken.labels], taken.data["item"].shape) == (2, [0, 1], (2, 3))
    assert Batch(images(), labels()).take(5).size == 5


@pytest.mark.parametrize("size", [0, -1, 6])
def test_take_refuses_what_is_not_there(size):
    message = (
        f"batch size {size}: expected 1 to 5, the number of examples in the test set. Choose another --batch-size."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Batch(images(), labels()).take(size)


@pytest.mark.parametrize(
    ("shape", "axis", "names"),
    [
        ((), None, ""),
        ((4,), None, ""),
        ((12, "b", 4), 1, "b"),
        (("b", "t", 64), 0, "bt"),
        (("seq", 3, "b"), 2, ["b", "seq"]),
    ],
)
def test_sizes_have_names_anywhere(shape, axis, names):
    spec = Spec(*shape)
    assert (spec.axis(), spec.symbols) == (axis, frozenset(names))
    assert spec.sized({"b": 2, "t": 5, "seq": 7}) == tuple({"b": 2, "t": 5, "seq": 7}.get(size, size) for size in shape)


@pytest.mark.parametrize("dimension", ["", "2t", "a-b", "T", "a b", 0, -1, 2.0, None, True])
def test_a_dimension_is_a_number_or_a_name(dimension):
    with pytest.raises(InputError, match=re.escape(f"has the dimension {dimension!r}")):
        Spec("b", 3, dimension, 4)


@pytest.mark.parametrize("name", ["batch", "batch_size", "B", "N"])
def test_another_name_for_the_batch_size_is_refused_with_the_one_it_has(name):
    with pytest.raises(InputError, match=f'has the dimension {name!r}. Expected "b"'):
        Spec(name, 4)


def test_a_name_stands_once_in_a_spec():
    with pytest.raises(InputError, match="names a size twice"):
        Spec("b", "t", "t")


@pytest.mark.parametrize("dtype", ["string", "str", "object", "datetime64[s]", "V4", "no such dtype", "f99"])
def test_a_dtype_is_numeric(dtype):
    with pytest.raises(InputError, match=re.escape(f"has dtype {dtype!r}. Expected a numeric one")):
        Spec("b", 5, dtype=dtype)


@pytest.mark.parametrize("dtype", ["int4", "uint4", "float8_e4m3fn", "float8_e5m2"])
def test_a_dtype_that_no_signature_takes_is_refused_with_those_that_are(dtype):
    with pytest.raises(InputError, match=f"has dtype {dtype}. Expected bfloat16, or a dtype of numpy's own"):
        Spec("b", 5, dtype=dtype)
    assert [Spec(dtype=name).dtype for name in ("bfloat16", "complex64")] == ["bfloat16", "complex64"]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [("float64", "float32"), ("int64", "int32"), ("uint64", "uint32"), ("complex128", "complex64")],
)
def test_a_wide_dtype_is_refused_with_one_that_is_taken(wide, narrow):
    with pytest.raises(InputError, match=f"has dtype {wide}; .* Give {narrow},"):
        Spec("b", 5, dtype=wide)
    assert Spec("b", 5, dtype=narrow).dtype == narrow


@pytest.mark.parametrize("dtype", ["float64", "int32", "bfloat16"])
def test_a_stored_spec_has_any_dtype(dtype):
    spec = Spec.stored(["b", 4], dtype)
    assert (spec.shape, spec.dtype) == (("b", 4), dtype)
    with pytest.raises(InputError, match="complex512"):
        Spec.stored(["b"], "complex512")


def test_a_wide_dtype_is_taken_where_jax_computes_in_64_bits():
    code = """
import jax
from parity import Spec
jax.config.update("jax_enable_x64", True)
print(Spec("b", 4, dtype="float64"))
"""
    assert samples.python("-c", code).stdout == "float64[b, 4]\n"


def test_a_spec_says_what_it_is():
    assert str(Spec("b", 28, 28, 1)) == "float32[b, 28, 28, 1]"
    assert str(Spec("b", dtype=np.int32)) == "int32[b]"
    assert Spec("b", 3) == Spec("b", 3, dtype="float32") != Spec("b", 3, dtype="float16")


def test_a_bfloat16_spec_needs_no_framework():
    code = "import sys; from parity.cases.specs import Spec; print(Spec('b', dtype='bfloat16'), 'jax' in sys.modules)"
    assert samples.python("-c", code).stdout == "bfloat16[b] False\n"


def test_names_are_in_order_and_come_back():
    assert list(specs.by_name(NAMED)) == ["item", "user"]
    assert specs.by_name(IMAGES) == {"data": IMAGES}
    assert specs.like(NAMED, {"item": 1, "user": 2}) == {"item": 1, "user": 2}
    assert specs.like(IMAGES, {"data": 1}) == 1


def test_a_signature_has_names_that_a_server_takes():
    found = [specs.signature_name(*leaf) for leaf in (("obs/a",), ("0", "output"), ("data",), ("a.b-c",), ("é",))]
    assert found == ["obs_a", "output_0", "data", "a_b_c", "data__"]


def test_one_output_is_named_output():
    assert specs.outputs(1) == {"output": 1}
    assert specs.outputs({"score": 1}) == {"score": 1}
