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

from parity import training
from parity.case import Training
from parity.errors import CaseError, UsageError
from parity.handover import counterparts, slots
from parity.handover.counterparts import carried, carry, keras_optimizer, keras_schedule
from parity.optimizers import Optimizer, Schedule
from parity.tests import tiny

EPOCH, STEPS, MORE = 16, 30, 5
EPS = float(np.finfo(np.float32).eps)

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


def named(tree):
    return {training.leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def parameters(dtype=np.float32):
    rng = np.random.RandomState(0)
    tree = {"Dense_0": {"kernel": rng.normal(size=(6, 7)), "bias": rng.normal(size=7)}, "mu": rng.normal(size=3)}
    return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, dtype), tree)


def gradients(params):
    """Of every magnitude from 1e-8 up, so that epsilon is small beside some and large beside others."""
    rng = np.random.RandomState(1)

    def one(leaf):
        return np.asarray(10 ** rng.uniform(-8, 0, leaf.shape) * rng.choice([-1, 1], leaf.shape), leaf.dtype)

    return [jax.tree_util.tree_map(one, params) for _ in range(MORE)]


def state_at(optimizer, params, steps):
    """A state as if `steps` gradients had been seen: no moment is zero, nor like another."""
    rng = np.random.RandomState(2)

    def one(path, leaf):
        if np.issubdtype(leaf.dtype, np.integer):
            return np.full(leaf.shape, steps, leaf.dtype)
        scale = 10 ** rng.uniform(-8, 0, leaf.shape)
        squared = "nu" in training.leaf_name(path).split("/")
        return (1e-2 * scale**2 if squared else scale * rng.choice([-1, 1], leaf.shape)).astype(leaf.dtype)

    flat, tree = jax.tree_util.tree_flatten_with_path(optimizer.init(params))
    return jax.tree_util.tree_unflatten(tree, [one(*each) for each in flat])


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


def declare(declared, dtype=np.float32):
    """Parameters, Optax's optimizer and its state."""
    params, optimizer = parameters(dtype), training.optimizer(declared, EPOCH)
    return params, optimizer, state_at(optimizer, params, STEPS)


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


def test_the_declared_defaults_are_optax_own():
    for functions, module, skipped in (
        (counterparts._OPTIMIZERS, optax, 1),
        (counterparts._SCHEDULES, optax.schedules, 0),
    ):
        for name, function in functions.items():
            ours = list(inspect.signature(function).parameters.values())[skipped:]
            theirs = list(inspect.signature(getattr(module, name)).parameters.values())[skipped:]
            assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


ANY = {
    "adafactor": Optimizer("adafactor"),
    "rmsprop": Optimizer("rmsprop", {"momentum": 0.9}),
    "adamw": Optimizer("adamw", {"mask": lambda params: jax.tree_util.tree_map(lambda leaf: leaf.ndim > 1, params)}),
    "clipped": Optimizer("lion", clip_global_norm=0.5),
    "of one's own": Optimizer(make=lambda rate: optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(rate))),
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
    with pytest.raises(UsageError, match="no slot of the Keras optimizer Adam is 0/trace/mu, expected one of mu/"):
        carried(made, trainable, ["0/trace/mu"])


def test_a_counterpart_is_made_again_from_its_configuration(frameworks):
    for declared in TRAININGS.values():
        made = keras_optimizer(declared, EPOCH)
        again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()


def without(leaf):
    return lambda state: {n: a for n, a in state.items() if n != leaf}


def instead(leaf, value):
    return lambda state: {**state, leaf: value}


FIRST = "0/mu/Dense_0/bias"
UNCARRIED = {
    "another shape": (
        instead(FIRST, np.zeros((7, 1), "f")),
        r"moment mu/Dense_0/bias is float32\[7, 1\], expected .*\[7\]",
    ),
    "another dtype": (instead(FIRST, np.zeros(7)), r"moment mu/Dense_0/bias is float64\[7\], expected float32\[7\]"),
    "no moment for a slot": (without(FIRST), "slot mu/Dense_0/bias .* gets no moment"),
    "no slot for a moment": (instead("0/mu/Dense_1/bias", np.zeros(7, "f")), "takes the moment 0/mu/Dense_1/bias"),
    "no slot of this kind": (
        instead("0/trace/Dense_0/bias", np.zeros(7, "f")),
        "takes the moment 0/trace/Dense_0/bias",
    ),
    "a moment twice": (instead("1/mu/Dense_0/bias", np.zeros(7, "f")), "takes the moment 1/mu/Dense_0/bias"),
    "neither moment nor count": (instead("1/scale", np.zeros((), "f")), "takes the moment 1/scale"),
    "counts differ": (instead("1/count", np.int32(29)), "1/count is 29, expected 30, the steps taken in JAX"),
    "a count of another dtype": (instead("1/count", np.float32(30)), "1/count is 30.0, expected 30"),
    "no count": (lambda state: without("0/count")(without("1/count")(state)), "has no count, expected 30"),
}


@pytest.mark.parametrize("wrong", UNCARRIED)
def test_what_cannot_be_carried_is_named_and_overwrites_nothing(frameworks, wrong):
    changed, message = UNCARRIED[wrong]
    params, _, state = declare(Training())
    trainable = [(name, tf.Variable(leaf)) for name, leaf in named(params).items()]
    made = keras_optimizer(Training(), EPOCH)
    made.build([variable for _, variable in trainable])
    for slot in made.variables:
        slot.assign(tf.fill(slot.shape, tf.cast(7, slot.dtype)))
    with pytest.raises(UsageError, match=message):
        carry(made, trainable, changed(named(state)), STEPS)
    assert all((slot.numpy() == 7).all() for slot in made.variables)


def test_an_optimizer_of_others_cannot_carry(frameworks):
    params, _, state = declare(Training())
    trainable = [(name, tf.Variable(leaf)) for name, leaf in named(params).items()]
    with pytest.raises(UsageError, match=r"Keras' Adam cannot carry Optax's moments.*Make it with keras_optimizer"):
        carry(keras.optimizers.Adam(), trainable, named(state), STEPS)
    made = keras_optimizer(Training(), EPOCH)
    made.build([tf.Variable(leaf) for leaf in named(params).values()])
    with pytest.raises(UsageError, match="no slot for the parameter Dense_0/bias: it was built for others"):
        carry(made, trainable, named(state), STEPS)
    made = keras_optimizer(Training(), EPOCH)
    made.build([*(variable for _, variable in trainable), tf.Variable(np.zeros(3, "f"))])
    with pytest.raises(UsageError, match="was built for 4 variables, expected the 3 parameters"):
        carry(made, trainable, named(state), STEPS)


def of(name, **options):
    return {"optimizer": Optimizer(name, options)}


def at(name, **options):
    return {"schedule": Schedule(name, options)}


ONLY_EXPORTED = {
    "adafactor": (of("adafactor"), "optimizer 'adafactor' has no exact counterpart.*keras.optimizers.Adafactor"),
    "rmsprop": (of("rmsprop"), "keras.optimizers.RMSprop"),
    "unheard of": (of("sm3"), "optimizer 'sm3' .*keras.optimizers.Optimizer, to be subclassed"),
    "of one's own": ({"optimizer": ANY["of one's own"]}, "an optimizer of one's own has no exact"),
    "eps_root": (of("adam", eps_root=1e-8), r"with eps_root=1e-08 \(exact for 0\)"),
    "nesterov": (of("adam", nesterov=True), "keras.optimizers.Nadam"),
    "bfloat16 moment": (of("lion", mu_dtype=jnp.bfloat16), "with mu_dtype="),
    "mask": (of("adamw", mask={"a": True}), "with mask="),
    "decay by schedule": (of("adamw", weight_decay=lambda step: 0.1), "with weight_decay=.*exact for a number"),
    "end of decay": (
        at("exponential_decay", init_value=1, transition_steps=2, decay_rate=0.5, end_value=0.1),
        "with end_value=0.1 .*schedules.ExponentialDecay",
    ),
    "begin of decay": (
        at("exponential_decay", init_value=1, transition_steps=2, decay_rate=0.5, transition_begin=3),
        "with transition_begin=3",
    ),
    "exponent": (at("cosine_decay_schedule", init_value=1, decay_steps=9, exponent=2), "with exponent=2"),
    "restarts": (at("sgdr_schedule", cosine_kwargs=[]), "schedules.CosineDecayRestarts"),
    "rate of one's own": (
        {"schedule": Schedule(function=lambda step: 0.1)},
        "a schedule of one's own .*LearningRateSchedule",
    ),
}


@pytest.mark.parametrize("name", ONLY_EXPORTED)
def test_what_keras_cannot_do_exactly_is_refused_with_the_nearest_and_the_way_out(frameworks, name):
    given, message = ONLY_EXPORTED[name]
    with pytest.raises(CaseError, match=f"{message}.*Hand over as 'exported'"):
        keras_optimizer(Training(**given), EPOCH)


def odd_state(rate):
    return optax.GradientTransformation(lambda params: {"rate": rate}, lambda g, s, p=None: (g, s))


def branching(rate):
    return optax.GradientTransformation(
        lambda params: jnp.zeros([], "int32"), lambda g, s, p=None: (g if s < 3 else p, s + 1)
    )


def growing(rate):
    return optax.GradientTransformation(
        lambda params: {"seen": jnp.zeros(1)}, lambda g, s, p=None: (g, {"seen": jnp.zeros(2)})
    )


UNTRAINABLE = {
    "no such optimizer": (of("adamm"), "optimizer 'adamm': optax has no such function with a learning_rate"),
    "no optimizer at all": (of("apply_updates"), "'apply_updates': optax has no such function"),
    "no such option": (of("adam", beta=0.9), "optimizer 'adam' cannot be made: TypeError.*It takes learning_rate, b1"),
    "no such schedule": (at("cosine"), "schedule 'cosine' is not in optax.schedules"),
    "option missing": (at("cosine_decay_schedule", init_value=1), "It takes init_value, decay_steps"),
    "value refused": (at("cosine_decay_schedule", init_value=1, decay_steps=0), "cannot be made: ValueError"),
    "if on the step": (
        {"schedule": Schedule(function=lambda step: 0.1 if step < 3 else 0.01)},
        "cannot be traced by JAX: TracerBool.*jax.numpy.where for an if",
    ),
    "float of the step": (
        {"schedule": Schedule(function=lambda step: 0.1 / (1 + float(step)))}, "cannot be traced.*no float",
    ),
    "a rate per parameter": ({"schedule": Schedule(function=lambda step: jnp.ones(3))}, "expected a float scalar"),
    "an odd state": ({"optimizer": Optimizer(make=odd_state)}, "rate of its state is <function.*expected an array"),
    "if in the update": ({"optimizer": Optimizer(make=branching)}, "its update cannot be traced by JAX"),
    "state that grows": (
        {"optimizer": Optimizer(make=growing)}, r"makes seen of the state \(\(2,\), .*expected \(\(1,\)",
    ),
    "no transformation": ({"optimizer": Optimizer(make=lambda rate: rate)}, "expected an optax.GradientTransformation"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRAINABLE)
def test_what_cannot_be_trained_is_refused(frameworks, name):
    given, message = UNTRAINABLE[name]
    with pytest.raises(CaseError, match=message):
        training.check_optimizer(training.optimizer(Training(**given), EPOCH), parameters())


class Untouched:
    steps_per_epoch = EPOCH

    def epoch(self, number):
        raise AssertionError("a step was taken")


@pytest.mark.parametrize("name", ["an odd state", "if on the step"])
def test_it_is_refused_before_the_first_step(frameworks, name):
    given, message = UNTRAINABLE[name]
    with pytest.raises(CaseError, match=message):
        training.train(tiny.case(training=Training(**given)), tiny.dataset(), Untouched())


MISDECLARED = {
    "rate among the options": (lambda: of("adam", learning_rate=0.1), "the rate is the schedule's"),
    "no dict": (lambda: Optimizer("adam", [1]), r"options is \[1\], expected a dict"),
    "a function for a name": (lambda: Optimizer(optax.adam), "expected the name of a function of optax"),
    "clipped to nothing": (lambda: Optimizer(clip_global_norm=0), "clip_global_norm is 0, expected a number above 0"),
    "no function": (lambda: Optimizer(make=3), "3 cannot be called"),
    "options beside a function": (lambda: Optimizer("adam", {"b1": 0.8}, make=odd_state), "takes no options, .* b1"),
    "no schedule": (Schedule, "expected either the name"),
    "two schedules": (lambda: Schedule("constant_schedule", {}, lambda step: 1.0), "expected either the name"),
    "Optax's own": (lambda: Training(schedule=optax.constant_schedule(1.0)), r"schedule=Schedule\(...\)"),
}


@pytest.mark.parametrize("name", MISDECLARED)
def test_what_is_declared_wrongly_is_refused_at_once(name):
    declare, message = MISDECLARED[name]
    with pytest.raises(CaseError, match=message):
        declare()


def test_trainings_are_equal_and_hashable_as_before():
    assert Training() == Training()
    assert hash(Training()) == hash(Training())
    assert Training(optimizer=Optimizer("sgd")) != Training()
