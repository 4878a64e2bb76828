"""Weights from a file: of every format, of this model or refused."""

import dataclasses

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint
import pytest

from parity.cases import training, weights
from parity.cases.functions import named
from parity.core.errors import CaseError
from parity.tests.support import tiny

STATE = {
    "hidden": {"kernel": np.full((4, 8), 0.5, np.float32), "bias": np.arange(8, dtype=np.float32)},
    "output": np.ones((8, 3), np.float32),
}


def flat(separator):
    return {name.replace("/", separator): array for name, array in named(STATE).items()}


def write_npz(path, tree):
    np.savez(path, **tree)


def write_safetensors(path, tree):
    pytest.importorskip("safetensors.numpy").save_file(tree, path)


def write_msgpack(path, tree):
    path.write_bytes(flax.serialization.msgpack_serialize(tree))


def write_orbax(path, tree):
    orbax.checkpoint.PyTreeCheckpointer().save(path.resolve(), tree)


FILES = {
    "w.npz": (write_npz, flat("/")),
    "dotted.npz": (write_npz, flat(".")),
    "w.safetensors": (write_safetensors, flat(".")),
    "w.msgpack": (write_msgpack, {"params": STATE}),
    "checkpoint": (write_orbax, {"params": STATE}),
}


@pytest.mark.parametrize("name", FILES)
def test_weights_are_read_from_every_format(tmp_path, name):
    write, tree = FILES[name]
    write(tmp_path / name, tree)
    state = training.begin(tiny.case(weights=tmp_path / name))
    assert jax.tree_util.tree_structure(state.params) == jax.tree_util.tree_structure(STATE)
    for leaf, array in named(STATE).items():
        np.testing.assert_array_equal(named(state.params)[leaf], array)


WRONG = {
    "another shape": ({**flat("/"), "output": np.ones((8, 4), np.float32)}, "output"),
    "another dtype": ({**flat("/"), "output": np.ones((8, 3))}, "float64"),
    "a leaf less": ({"hidden/kernel": STATE["hidden"]["kernel"]}, "hidden/bias"),
    "a leaf more": ({**flat("/"), "other/kernel": np.ones(2)}, "other/kernel"),
    "a leaf twice": ({**flat("/"), "params/output": STATE["output"]}, "output twice"),
    "another name": ({"dense/kernel" if n == "hidden/kernel" else n: a for n, a in flat("/").items()}, "dense/kernel"),
}


@pytest.mark.parametrize("name", WRONG)
def test_weights_of_another_model_name_the_leaf(tmp_path, name):
    arrays, leaf = WRONG[name]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(CaseError, match=leaf):
        training.begin(tiny.case(weights=tmp_path / "w.npz"))


@pytest.mark.parametrize("name", ["absent.npz", "w.txt", "damaged.npz", "damaged.msgpack"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    if name != "absent.npz":
        (tmp_path / name).write_text("no weights")
    with pytest.raises(CaseError, match=name):
        training.begin(tiny.case(weights=tmp_path / name))


def test_the_weights_of_a_case_that_is_not_trained_are_those_of_the_file(tmp_path, subject_of):
    np.savez(tmp_path / "w.npz", **flat("/"))
    case = tiny.case(weights=tmp_path / "w.npz", training=dataclasses.replace(tiny.tiny.training, epochs=0))
    subject = subject_of(case)
    found = named(subject.trained.state.params)
    assert all((found[leaf] == array).all() for leaf, array in named(STATE).items())


@pytest.mark.parametrize("dtype", [np.int8, np.bool_])
def test_only_keys_and_counts_may_be_absent(dtype):
    leaves = {"w": np.ones(2, np.float32), "key": np.zeros(2, np.uint32), "step": np.int32(3)}
    given = {"w": np.zeros(2, np.float32)}
    assert (weights.fill(leaves, given, "a case")["key"] == 0).all()
    with pytest.raises(CaseError, match="missing: mask"):
        weights.fill({**leaves, "mask": np.ones(2, dtype)}, given, "a case")
