"""A training handed over without a fault follows the reference; a planted fault is named at its step and stage."""

import re
from dataclasses import replace

import jax
import pytest
import tensorflow as tf

from parity.cases.optimizers import Schedule
from parity.cases.training import schedule
from parity.export import artifact
from parity.handover import CARRIED, EXPORTED, PARAMETERS, counterparts, updates
from parity.handover.continuing import ExportedContinuation, KerasContinuation
from parity.handover.exported import Trainable
from parity.handover.setup import NARROW, RETURNED
from parity.handover.train_state import stepping
from parity.handover.trajectory import power
from parity.records import FAIL, PASS
from parity.tests.support import planting, tiny_training
from parity.tests.support.planting import BEGIN, EPOCH, Begun, Planted

pytestmark = pytest.mark.slow

MU, NU = "moments/0/mu", "moments/0/nu"
BOTH = (CARRIED, EXPORTED)
WRONG = 3
FAULTS = {
    planting.means_for_squares: (BOTH, 1, f"({MU}|{NU})/.*"),
    planting.moments_of_another_parameter: (BOTH, 1, f"{MU}/norm/(bias|scale)"),
    planting.squares_of_another_parameter: (BOTH, 1, f"{NU}/norm/(bias|scale)"),
    planting.count_behind: (BOTH, 1, "step"),
    planting.count_of_the_optimizer_behind: ((EXPORTED,), 1, "moments/0/count"),
    planting.key_reset: (BOTH, 4, "key"),
    planting.decayed_statistics: (BOTH, 3, "batch_stats/(mean|var)"),
    planting.statistic_not_updated: (BOTH, 2, "batch_stats/var"),
}
REMADE = {
    "plain epsilon": (1, f"{PARAMETERS}/hidden/kernel"),
    "gradient wrong once, carried": (WRONG, "gradient/.*"),
    "gradient wrong once, exported": (WRONG, "gradient/hidden/kernel"),
    "early schedule, carried": (EPOCH, "learning_rate"),
    "early schedule, exported": (EPOCH, "learning_rate"),
    "batches in another order": (2, "loss"),
}


class PlainEpsilon(updates.Adam):
    """Optax's moments and its number for epsilon, and Keras' own place for it."""

    update_step = updates.keras.optimizers.Adam.update_step


class Early(counterparts.schedules.LearningRateSchedule):
    """A Keras schedule that is `by` steps early."""

    def __init__(self, original, by):
        self.original, self.by = original, by

    def __call__(self, step):
        return self.original(step + tf.cast(self.by, step.dtype))


class Knobs(KerasContinuation):
    """A Keras optimizer whose schedule may be early, fed with gradients that may be scaled."""

    def __init__(self, handover, module):
        self.gain, self.by, original = tf.Variable(1.0), tf.Variable(0), module.train_loss
        made = counterparts.keras_schedule

        @tf.custom_gradient
        def gained(loss):
            return loss, lambda upstream: upstream * self.gain

        module.train_loss = lambda data, labels: gained(original(data, labels))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counterparts, "keras_schedule", lambda *args: Early(made(*args), self.by))
            super().__init__(handover, module)

    def with_knobs(self, gain, by, batch):
        self.gain.assign(gain)
        self.by.assign(by)
        return self.step(batch)


def wrong_once(params, other, rng, data, labels, train):
    """The loss, and at one step 0.1 % too much in the gradient of one parameter."""
    found, updated = tiny_training.loss(params, other, rng, data, labels, train)

    def of_kernel(kernel):
        moved = {**params, "hidden": {**params["hidden"], "kernel": kernel}}
        return tiny_training.loss(moved, other, rng, data, labels, train)[0]

    kernel = params["hidden"]["kernel"]
    extra = jax.lax.stop_gradient(1e-3 * jax.grad(of_kernel)(kernel))
    zero = (extra * (kernel - jax.lax.stop_gradient(kernel))).sum()
    return found + jax.numpy.where(other["seen"] == BEGIN + WRONG - 1, zero, 0.0), updated


def exported(trajectories, case):
    """A training handed over with the update of another case."""
    module = Trainable(case, trajectories.setup.train_state, stepping(case, EPOCH), artifact.graph)
    return Planted(ExportedContinuation(trajectories.setup.handover, module))


def remade(trajectories):
    """Trainings that are wrong from the start, by name."""
    handover, case = trajectories.setup.handover, trajectories.case
    knobs = Planted(Knobs(handover, artifact.load(handover.artifact)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counterparts, "Adam", PlainEpsilon)
        plain = Planted(KerasContinuation(handover, artifact.load(handover.artifact)))
    rate = schedule(case.training, EPOCH)
    early = replace(case.training, schedule=Schedule(function=lambda step: rate(step + 1)))
    return {
        "plain epsilon": plain,
        "gradient wrong once, carried": knobs.with_fault(
            lambda t, b, n: t.with_knobs(1.001 if n == WRONG else 1, 0, b)
        ),
        "early schedule, carried": knobs.with_fault(lambda t, b, n: t.with_knobs(1, 1, b)),
        "gradient wrong once, exported": exported(trajectories, replace(case, loss=wrong_once)),
        "early schedule, exported": exported(trajectories, replace(case, training=early)),
    }


@pytest.fixture(scope="module")
def followed(begun):
    planted = {
        f"{fault.__name__}, {method}": begun.trainings[method].with_fault(fault)
        for fault, (ways, _, _) in FAULTS.items()
        for method in ways
    }
    batches = begun.trajectories.setup.batches
    swapped = {2: batches[2], 3: batches[1]}
    other = begun.trainings[EXPORTED].with_fault(
        lambda training, batch, number: training.step(swapped.get(number, batch))
    )
    return begun.follow({**planted, **remade(begun.trajectories), "batches in another order": other})


def deviates(found, step, leaf):
    """Whether a training deviates at `step` after the hand-over and not before, on a leaf like `leaf`."""
    deviation = found.deviation
    return deviation is not None and deviation.step == BEGIN + step and re.fullmatch(leaf, deviation.result.leaf)


@pytest.mark.parametrize("method", [CARRIED, EXPORTED, RETURNED])
def test_a_hand_over_without_a_fault_follows_the_reference(begun, method):
    found = begun.trajectories.comparison(method).outcome(method)
    assert {j.status for j in begun.trajectories.results(method)} == {PASS}
    assert found.kink is None
    assert found.steps == [BEGIN + i for i in range(1, planting.STEPS + 1)]
    assert 0 < max(max(scores) for scores in found.scores.values()) < 10


@pytest.mark.parametrize(
    ("name", "step", "leaf"),
    [
        *((f"{fault.__name__}, {method}", *where) for fault, (ways, *where) in FAULTS.items() for method in ways),
        *((name, *where) for name, where in REMADE.items()),
    ],
)
def test_a_planted_fault_is_named_at_its_step(followed, name, step, leaf):
    found = followed[name]
    assert deviates(found, step, leaf), found.deviation
    whole = found.results()[0]
    assert whole.status == FAIL
    assert f"at step {BEGIN + step}, {step} after the hand-over, at stage {found.deviation.stage}" in whole.message
    assert all(score <= 10 for scores in found.scores.values() for score in scores[: step - 1])


def test_what_is_stated_as_power_is_caught_and_much_less_is_not(begun):
    expected = begun.reference.advance(begun.trajectories.setup.batches[0])
    stated = {leaf: error for leaf, error in power(begun.reference, expected).items() if error < 1e-2}
    assert set(stated) == {"hidden/kernel", "norm/bias", "norm/scale", "output"}
    planted = {
        (leaf, method, times): begun.trainings[method].with_fault(planting.parameter_off(leaf, times * error))
        for leaf, error in stated.items()
        for method in BOTH
        for times in (2, 1 / 50)
    }
    found = begun.follow(planted, steps=1)
    missed = [
        key for key in planted if key[2] == 2 and not deviates(found[key], 1, f"{PARAMETERS}/{key[0]}|gradient/.*|loss")
    ]
    alarmed = [key for key in planted if key[2] < 1 and found[key].deviation]
    assert not missed
    assert not alarmed


@pytest.fixture(scope="module")
def narrow(trajectories):
    return Begun(trajectories, NARROW)


NARROW_FAULTS = {
    planting.means_for_squares: FAULTS[planting.means_for_squares][1:],
    planting.moments_of_another_parameter: FAULTS[planting.moments_of_another_parameter][1:],
    planting.key_reset: FAULTS[planting.key_reset][1:],
    planting.update_lost: (3, f"{PARAMETERS}/hidden/kernel"),
}


def test_parameters_in_bfloat16_with_moments_in_float32_follow_their_reference_and_faults_are_named(narrow):
    handover = narrow.trainings[EXPORTED].training
    assert {v.dtype for _, v in handover.parameters} == {tf.bfloat16}
    assert {v.dtype for v in handover.module.optimizer_vars} == {tf.float32, tf.int32}
    assert {j.status for j in narrow.trajectories.results(NARROW)} == {PASS}
    planted = {fault: narrow.trainings[EXPORTED].with_fault(fault) for fault in NARROW_FAULTS}
    found = narrow.follow(planted, steps=5)
    for fault, (step, leaf) in NARROW_FAULTS.items():
        assert deviates(found[fault], step, leaf), found[fault].deviation
