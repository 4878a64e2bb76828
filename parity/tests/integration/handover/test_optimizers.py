"""A declared optimizer does in Keras what it does in Optax, and its state is carried both ways; or it is refused."""

import functools
import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
import tensorflow as tf

from parity.cases import training
from parity.cases.case import Training
from parity.cases.optimizers import Optimizer, Schedule
from parity.core.errors import UsageError
from parity.handover import counterparts, slots
from parity.handover.counterparts import keras_optimizer, keras_schedule
from parity.handover.slots import carried, carry
from parity.tests.support.declared import EPOCH, EPS, MORE, STEPS, declare, gradients, named, own, parameters

pytestmark = pytest.mark.slow

WARM_UP = {"init_value": 1e-3, "peak_value": 0.02, "warmup_steps": 33, "decay_steps": 50, "end_value": 1e-4}
SCHEDULES = {
    "staircase by epoch": None,
    "constant": Schedule("constant_schedule", {"value": 0.01}),
    "exponential": Schedule("exponential_decay", {"init_value": 0.02, "transition_steps": 10, "decay_rate": 0.7}),
    "cosine": Schedule("cosine_decay_schedule", {"init_value": 0.02, "decay_steps": 33, "alpha": 0.1}),
    "warm-up cosine": Schedule("warmup_cosine_decay_schedule", WARM_UP),
    "no warm-up": Schedule("warmup_cosine_decay_schedule", {**WARM_UP, "warmup_steps": 0}),
    "piecewise": Schedule(
        "piecewise_constant_schedule", {"init_value": 0.02, "boundaries_and_scales": {31: 0.5, 33: 0.1, 40: 3}}
    ),
    "scaled from the first step": Schedule(
        "piecewise_constant_schedule", {"init_value": 1, "boundaries_and_scales": {0: 0.5}}
    ),
    "linear": Schedule("linear_schedule", {"init_value": 0.02, "end_value": 0.001, "transition_steps": 32}),
}
TRAININGS = {
    "sgd": Training(optimizer=Optimizer("sgd"), schedule=SCHEDULES["linear"]),
    "sgd, momentum": Training(optimizer=Optimizer("sgd", {"momentum": 0.9}), schedule=SCHEDULES["piecewise"]),
    "sgd, Nesterov": Training(optimizer=Optimizer("sgd", {"momentum": 0.8, "nesterov": True})),
    "adam": Training(),
    "adam, wide epsilon": Training(
        optimizer=Optimizer("adam", {"eps": 1e-3, "b1": 0.8, "b2": 0.99}), schedule=SCHEDULES["exponential"]
    ),
    "adamw": Training(optimizer=Optimizer("adamw", {"weight_decay": 0.1}), schedule=SCHEDULES["cosine"]),
    "lion": Training(optimizer=Optimizer("lion"), schedule=SCHEDULES["warm-up cosine"]),
    "adamw, clipped": Training(optimizer=Optimizer("adamw", clip_global_norm=0.5), schedule=SCHEDULES["constant"]),
}


def in_optax(optimizer, params, state):
    update = jax.jit(optimizer.update)
    for gradient in gradients(params):
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return named(params), named(state)


def in_keras(optimizer, params, state, steps=STEPS):
    trainable = [(name, tf.Variable(leaf)) for name, leaf in named(params).items()]
    variables = [variable for _, variable in trainable]
    carry(optimizer, trainable, state, steps)

    @tf.function(autograph=False)
    def step(gradient):
        optimizer.apply_gradients(zip(gradient, variables, strict=True))

    for gradient in gradients(params):
        step(list(named(gradient).values()))
    return {name: variable.numpy() for name, variable in trainable}, carried(optimizer, trainable, state)


def worst(declared, optax_side, keras_side, before, start):
    """The largest difference over what float32 costs; above 1 the two do not do the same.

    Every step rounds the parameter once (half an ulp of it on either side), and the update some ten times. Adam's
    update is as uncertain as 1 - beta_2**t is: an ulp of beta_2**t, near 1, is 1 / (1 - beta_2**t) ulp of that, and the
    square root halves it. A moment is rounded some four times a step, by half an ulp of what is summed.
    """
    beta = declared.optimizer.options.get("b2", 0.999) if "adam" in declared.optimizer.name else 0
    rounded = 10 + 1 / (1 - beta ** (STEPS + 1))
    clipped = 0 if declared.optimizer.clip_global_norm is None else 4
    rate = max(float(training.schedule(declared, EPOCH)(step)) for step in range(STEPS, STEPS + MORE))
    found = {}
    for name, value in optax_side[0].items():
        # An update of Adam or Lion is about the rate; one of SGD is what moved the parameter.
        moved = np.abs(value - before[name]) + (rate if declared.optimizer.name != "sgd" else 0)
        cost = MORE * EPS * (np.abs(value) + np.abs(before[name]) + (rounded + clipped) * moved)
        found[name] = (np.abs(value - keras_side[0][name]) / cost).max()
    seen = {name: np.max([np.abs(named(g)[name]) for g in gradients(parameters())], axis=0) for name in before}
    for name, value in optax_side[1].items():
        kind, leaf = slots.place(name)
        size = seen.get(leaf, 0) ** (2 if kind == "nu" else 1) + np.abs(value) + np.abs(start[name])
        found[name] = (
            np.abs(value.astype(np.float64) - keras_side[1][name]) / (MORE * EPS * (2 + clipped) * size)
        ).max()
    return max(found.values())


@functools.cache
def from_optax(name):
    """Parameters, the state before, and what Optax makes of both."""
    params, optimizer, state = declare(TRAININGS[name])
    return params, named(state), in_optax(optimizer, params, state)


@pytest.mark.parametrize("name", TRAININGS)
def test_keras_goes_on_as_optax_does(frameworks, name):
    declared = TRAININGS[name]
    params, state, expected = from_optax(name)
    found = in_keras(keras_optimizer(declared, EPOCH), params, state)
    assert found[1].keys() == expected[1].keys()
    assert [(a.dtype, a.shape) for a in found[1].values()] == [(a.dtype, a.shape) for a in expected[1].values()]
    assert all(found[1][n] == STEPS + MORE for n in found[1] if n.endswith("count"))
    assert worst(declared, expected, found, named(params), state) <= 1


def as_keras(own):
    """The update step of Keras' own optimizer in the place of the counterpart's."""

    def plant(made):
        made.update_step = lambda *arguments: own.update_step(made, *arguments)
        return made

    return plant


def recounted(steps):
    return lambda state: {n: np.full_like(a, steps) if n.endswith("count") else a for n, a in state.items()}


def swapped(state):
    return {n: state[n.replace("0/mu", "0/xx").replace("0/nu", "0/mu").replace("0/xx", "0/nu")] for n in state}


def forgotten(state):
    return {n: a if n.endswith("count") else np.zeros_like(a) for n, a in state.items()}


def undecayed(made):
    made.decoupled_decay = 0.0
    return made


def unclipped(made):
    made.global_clipnorm = None
    return made


def same(made_or_state):
    return made_or_state


DEFECTS = {
    "Keras' epsilon": ("adam", as_keras(keras.optimizers.Adam), same, STEPS),
    "the rate in the momentum": ("sgd, momentum", as_keras(keras.optimizers.SGD), same, STEPS),
    "weight decay left out": ("adamw", undecayed, same, STEPS),
    "clipping left out": ("adamw, clipped", unclipped, same, STEPS),
    "moments swapped": ("adam", same, swapped, STEPS),
    "moments forgotten": ("lion", same, forgotten, STEPS),
    "count a step behind": ("adam", same, recounted(STEPS - 1), STEPS - 1),
    "count a step ahead": ("adamw, clipped", same, recounted(STEPS + 1), STEPS + 1),
    "schedule a step ahead": ("lion", same, recounted(STEPS + 1), STEPS + 1),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_leaves_the_bound(frameworks, defect):
    name, planted, changed, steps = DEFECTS[defect]
    declared = TRAININGS[name]
    params, state, expected = from_optax(name)
    found = in_keras(planted(keras_optimizer(declared, EPOCH)), params, changed(state), steps)
    assert not worst(declared, (expected[0], {}), found, named(params), state) <= 10


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_learning_rate_is_the_same_at_every_step(frameworks, name):
    """To a few ulp of the largest rate: 1 + cos cancels at the end of a cosine."""
    declared = Training(schedule=SCHEDULES[name])
    steps = range(70)
    expected = [float(rate(step)) for rate in [jax.jit(training.schedule(declared, EPOCH))] for step in steps]
    found = [float(rate(step)) for rate in [keras_schedule(declared, EPOCH)] for step in steps]
    assert len(set(expected)) > 1 or name in ("constant", "scaled from the first step")
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * EPS * max(expected))


def test_the_declared_options_and_defaults_are_optax_own():
    """What a counterpart lacks is listed with Optax's default, with which alone it is exact."""
    for kind, module, skipped in (("optimizer", optax, 1), ("schedule", optax.schedules, 0)):
        for name, function in counterparts._COUNTERPARTS[kind].items():
            ours, theirs = (
                {p.name: p.default for p in list(inspect.signature(f).parameters.values())[skipped:]}
                for f in (function, getattr(module, name))
            )
            assert ours == {option: theirs[option] for option in ours}, name
            lacking = {option: default for option, default in theirs.items() if option not in ours}
            assert lacking == {option: counterparts.LACKING[option] for option in lacking}, name


ANY = {
    "adafactor": Optimizer("adafactor"),
    "rmsprop": Optimizer("rmsprop", {"momentum": 0.9}),
    "adamw": Optimizer("adamw", {"mask": lambda params: jax.tree_util.tree_map(lambda leaf: leaf.ndim > 1, params)}),
    "clipped": Optimizer("lion", clip_global_norm=0.5),
    "of one's own": Optimizer(make=own),
}


@pytest.mark.parametrize("name", ANY)
def test_in_float32_it_is_what_optax_gives(frameworks, name):
    declared = ANY[name]
    found = training.optimizer(Training(optimizer=declared), EPOCH)
    rate = optax.exponential_decay(0.01, EPOCH, 0.6, staircase=True)
    expected = declared.make(rate) if declared.make else getattr(optax, declared.name)(rate, **declared.options)
    if declared.clip_global_norm:
        expected = optax.chain(optax.clip_by_global_norm(declared.clip_global_norm), expected)
    params = parameters()
    training.check_optimizer(found, params)
    gradient, state = gradients(params)[0], expected.init(params)
    assert jax.tree_util.tree_structure(found.init(params)) == jax.tree_util.tree_structure(state)
    for one, other in zip(
        jax.tree_util.tree_leaves(jax.jit(found.update)(gradient, state, params)),
        jax.tree_util.tree_leaves(jax.jit(expected.update)(gradient, state, params)),
        strict=True,
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["sgd, momentum", "adamw, clipped"])
def test_bfloat16_parameters_have_float32_moments_and_are_rounded_once(frameworks, name):
    declared = TRAININGS[name]
    params, optimizer, state = declare(declared, jnp.bfloat16)
    training.check_optimizer(optimizer, params)
    assert {a.dtype.name for n, a in named(state).items() if not n.endswith("count")} == {"float32"}
    expected, _ = in_optax(optimizer, params, state)
    found, moments = in_keras(keras_optimizer(declared, EPOCH), params, named(state))
    assert {a.dtype.name for n, a in moments.items() if not n.endswith("count")} == {"float32"}
    for leaf, value in expected.items():
        assert value.dtype == found[leaf].dtype == jnp.bfloat16
        np.testing.assert_array_equal(found[leaf].astype(np.float32), value.astype(np.float32))
    gradient, update = gradients(params)[0], jax.jit(optimizer.update)
    wide = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float32), (params, gradient))
    once = named(optax.apply_updates(params, update(gradient, state, params)[0]))
    exact = named(optax.apply_updates(wide[0], update(wide[1], state, wide[0])[0]))
    for leaf, value in once.items():
        np.testing.assert_array_equal(value, exact[leaf].astype(jnp.bfloat16))


def test_what_goes_into_the_slots_comes_back_to_the_bit(frameworks):
    declared = TRAININGS["adamw, clipped"]
    params, _, state = declare(declared)
    trainable = [(name, tf.Variable(leaf)) for name, leaf in named(params).items()]
    made = keras_optimizer(declared, EPOCH)
    carry(made, trainable, named(state), STEPS)
    back = carried(made, trainable, named(state))
    for name, value in named(state).items():
        assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(back[name], value)
    with pytest.raises(
        UsageError,
        match=r"no slot .* takes the moment 0/trace/mu, expected one for each of mu/",
    ):
        carried(made, trainable, ["0/trace/mu"])


def test_a_counterpart_is_made_again_from_its_configuration(frameworks):
    for declared in TRAININGS.values():
        made = keras_optimizer(declared, EPOCH)
        again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()
