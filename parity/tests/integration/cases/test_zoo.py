"""The zoo: every case loads, is what its specs say, trains, and can be exported for any number of examples."""

import sys

import jax
import numpy as np
import pytest
from jax import export

from parity.cases import checking, loading, training
from parity.cases.functions import named, pure_functions
from parity.tests.support.families import further

ZOO = [name for name in loading.available() if name.startswith("zoo/")]
FIRST = {"zoo/resnet", "zoo/vit", "zoo/lstm", "zoo/graph"}
"""One of each library."""
OF = {"equinox": {"zoo/lstm", "zoo/resnet_groupnorm", "zoo/unet"}, "haiku": {"zoo/bert", "zoo/experts", "zoo/graph"}}


@pytest.mark.parametrize("name", further(ZOO, FIRST))
def test_a_case_of_the_zoo_trains_one_step_and_is_lowered_for_any_batch_size(name):
    case = loading.load(name)
    assert case.name == name.replace("/", "_")
    data, state = case.dataset(), training.begin(case)
    checking.check(case, state, data)
    assert sum(leaf.size for leaf in named(state.params).values()) < 200_000

    first = data.train.take(case.training.batch_size)
    compiled = training.compile_training(case, 1)
    moments = compiled.optimizer.init(training.widened(state.params))
    loss, after, _ = compiled.step(state, moments, first.data, first.labels)
    assert np.isfinite(float(loss))
    before, moved = named(state.params), named(after.params)
    assert [leaf for leaf in before if np.array_equal(before[leaf], moved[leaf])] == []

    (size,) = export.symbolic_shape("b")
    batch = data.test.map(lambda array: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype))
    functions = pure_functions(case)
    for evaluation in ("predict", "train"):
        export.export(jax.jit(functions[evaluation]))(*state, batch.data, batch.labels)


@pytest.mark.parametrize("library", sorted(OF))
def test_cases_of_a_library_that_is_not_installed_are_left_out_by_name(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    for name in OF[library]:
        monkeypatch.delitem(sys.modules, f"parity.cases.shipped.{name.replace('/', '.')}", raising=False)
    found, left_out = loading.load_all(["zoo"])
    assert left_out.keys() == OF[library]
    assert found.keys() == set(ZOO) - OF[library]
    assert all(library in text for text in left_out.values())
