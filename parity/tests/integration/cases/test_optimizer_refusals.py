"""What cannot be declared, trained, made in Keras or carried is refused by name, with the way out, and untouched."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorflow as tf

from parity.cases import training
from parity.cases.case import Training
from parity.cases.optimizers import Optimizer, Schedule
from parity.core.errors import CaseError, UsageError
from parity.handover.counterparts import keras_optimizer
from parity.handover.slots import carry
from parity.tests.support import tiny
from parity.tests.support.declared import EPOCH, STEPS, declare, named, own, parameters


def without(leaf):
    return lambda state: {n: a for n, a in state.items() if n != leaf}


def replacement(leaf, value):
    return lambda state: {**state, leaf: value}


FIRST = "0/mu/Dense_0/bias"
UNCARRIED = {
    "another shape": (
        replacement(FIRST, np.zeros((7, 1), "f")),
        r"moment 0/mu/Dense_0/bias is float32\[7, 1\], expected .*\[7\]",
    ),
    "another dtype": (
        replacement(FIRST, np.zeros(7)),
        r"moment 0/mu/Dense_0/bias is float64\[7\], expected float32\[7\]",
    ),
    "no moment for a slot": (without(FIRST), "gets no moment: mu/Dense_0/bias"),
    "no slot for a moment": (replacement("0/mu/Dense_1/bias", np.zeros(7, "f")), "takes the moment 0/mu/Dense_1/bias"),
    "no slot of this kind": (
        replacement("0/trace/Dense_0/bias", np.zeros(7, "f")),
        "takes the moment 0/trace/Dense_0/bias",
    ),
    "a moment twice": (replacement("1/mu/Dense_0/bias", np.zeros(7, "f")), "takes the moment 1/mu/Dense_0/bias"),
    "neither moment nor count": (replacement("1/scale", np.zeros((), "f")), "takes the moment 1/scale"),
    "counts differ": (replacement("1/count", np.int32(29)), "1/count is 29, expected 30, the steps taken in JAX"),
    "a count of another dtype": (replacement("1/count", np.float32(30)), "1/count is 30.0, expected 30"),
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


def of(name, **options):
    return {"optimizer": Optimizer(name, options)}


def at(name, **options):
    return {"schedule": Schedule(name, options)}


ONLY_EXPORTED = {
    "adafactor": (of("adafactor"), "optimizer 'adafactor' has no exact counterpart"),
    "rmsprop": (of("rmsprop"), "optimizer 'rmsprop' has no exact counterpart.*sgd, adam, adamw, lion do"),
    "unheard of": (of("sm3"), "optimizer 'sm3' has no exact counterpart"),
    "of one's own": ({"optimizer": Optimizer(make=own)}, "an optimizer of one's own has no exact"),
    "eps_root": (of("adam", eps_root=1e-8), r"with eps_root=1e-08 \(exact for 0\)"),
    "nesterov": (of("adam", nesterov=True), r"with nesterov=True \(exact for False\)"),
    "bfloat16 moment": (of("lion", mu_dtype=jnp.bfloat16), "with mu_dtype="),
    "mask": (of("adamw", mask={"a": True}), "with mask="),
    "decay by schedule": (of("adamw", weight_decay=lambda step: 0.1), "with weight_decay=.*exact for a number"),
    "end of decay": (
        at("exponential_decay", init_value=1, transition_steps=2, decay_rate=0.5, end_value=0.1),
        r"with end_value=0.1 \(exact for None\)",
    ),
    "begin of decay": (
        at("exponential_decay", init_value=1, transition_steps=2, decay_rate=0.5, transition_begin=3),
        "with transition_begin=3",
    ),
    "exponent": (at("cosine_decay_schedule", init_value=1, decay_steps=9, exponent=2), "with exponent=2"),
    "restarts": (
        at("sgdr_schedule", cosine_kwargs=[]),
        "'sgdr_schedule' has no exact .*constant_schedule, ",
    ),
    "rate of one's own": (
        {"schedule": Schedule(function=lambda step: 0.1)},
        "a schedule of one's own has no exact",
    ),
}


@pytest.mark.parametrize("name", ONLY_EXPORTED)
def test_what_keras_cannot_do_exactly_is_refused_with_the_way_out(frameworks, name):
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
    "a rate per parameter": ({"schedule": Schedule(function=lambda step: jnp.ones(3))}, r"gives float32\[3\] for"),
    "an odd state": ({"optimizer": Optimizer(make=odd_state)}, "rate of its state is <function.*expected an array"),
    "if in the update": ({"optimizer": Optimizer(make=branching)}, "its update cannot be traced by JAX"),
    "state that grows": (
        {"optimizer": Optimizer(make=growing)}, r"makes seen of the state float32\[2\], expected float32\[1\] ",
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
        training.train(tiny.case(training=Training(batch_size=16, **given)), tiny.dataset(), Untouched())


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
