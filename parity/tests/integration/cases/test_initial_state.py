"""The state before training: made by one program where `init` can be one, and the same where it cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.cases import training
from parity.cases.case import Training
from parity.cases.keys import as_data
from parity.tests.support import tiny

LARGE = np.ones(training.MOST_CLOSED_OVER // 4 + 1, np.float32)
plain = tiny.case()


def in_jax(key):
    return plain.init(key)


def with_numpys_draws(key):
    drawn = np.random.default_rng(int(np.asarray(key)[-1])).normal(size=(4, 3))
    return {**in_jax(key)[0], "drawn": drawn}, {}


def with_numpys_leaf(key):
    return {**in_jax(key)[0], "half": np.full(3, 0.5, np.float16)}, {"count": 3}


def with_large_constant(key):
    return {**in_jax(key)[0], "large": jnp.asarray(LARGE)}, {}


@pytest.mark.parametrize("init", [in_jax, with_numpys_draws, with_numpys_leaf, with_large_constant])
def test_the_state_is_what_init_returns(init):
    init_key, _ = jax.random.split(jax.random.PRNGKey(plain.training.seed))
    state = training.begin(as_data(tiny.case(init=init)))
    expected = jax.tree_util.tree_map(np.asarray, init(init_key))
    assert jax.tree_util.tree_structure((state.params, state.other)) == jax.tree_util.tree_structure(expected)
    for one, other in zip(*map(jax.tree_util.tree_leaves, ((state.params, state.other), expected)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_it_is_compiled_as_one_program_unless_it_closes_over_much():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    found = {}
    for init in (in_jax, with_large_constant) * 2:  # at first, what both need is compiled as well
        compiled.clear()
        training.begin(tiny.case(init=lambda key, init=init: init(key)))
        found[init] = len(compiled)
    assert found == {in_jax: 1, with_large_constant: 0}


@pytest.mark.parametrize("concrete", [False, True])
def test_typed_keys_are_known_by_their_implementation(concrete):
    def init(key):
        if concrete:
            int(np.asarray(key)[0])
        return plain.init(key)[0], {"stream": jax.random.key(3, impl="rbg"), "count": jnp.zeros((), jnp.int32)}

    def predict(state, data):
        assert jax.random.key_impl(state[1]["stream"]) in ("rbg", jax.random.key_impl(jax.random.key(0, impl="rbg")))
        return plain.predict((state[0], {}), data)

    case = as_data(tiny.case(init=init, predict=predict))
    state = training.begin(case)
    assert state.other["stream"].dtype == np.uint32
    case.predict((state.params, state.other), case.dataset().test.data)


def test_weights_that_are_given_are_those_of_init_to_the_bit():
    def init(key):
        return {**plain.init(key)[0], "moved": jax.random.uniform(key, (1000,), minval=-0.3, maxval=0.7)}, {}

    init_key, _ = jax.random.split(jax.random.PRNGKey(plain.training.seed))
    state = training.begin(tiny.case(init=init, training=Training(epochs=0, batch_size=16)))
    np.testing.assert_array_equal(state.params["moved"], init(init_key)[0]["moved"])
