"""Trainings handed over with something wrong in them; they share what is compiled, and keep their own variables."""

import functools

import numpy as np

from parity.handover.continuing import KerasContinuation
from parity.handover.setup import NARROW, HandoverSetup
from parity.handover.slots import place
from parity.handover.trajectory import compare

STEPS = 15
"""All three epochs after the hand-over of `tiny_training`; the rate changes after the first of them."""
BEGIN, EPOCH = 10, 5


class Planted:
    """A training that takes its steps as `fault(training, batch, number)` says; `number` counts from 1."""

    def __init__(self, training, fault=None):
        self.training, self.fault, self.last = training, fault, {}
        self._number, self._values = 0, [variable.numpy() for variable in training.variables()]

    def with_fault(self, fault):
        """The same training from the same state, with another fault."""
        other = Planted(self.training, fault)
        other._values = self._values
        return other

    def rewind(self):
        """Give the variables that it shares its own values."""
        for variable, value in zip(self.training.variables(), self._values, strict=True):
            variable.assign(value)

    def step(self, batch):
        training, variables = self.training, self.training.variables()
        self._number += 1
        self.rewind()
        self.last = self.fault(training, batch, self._number) if self.fault else training.step(batch)
        self._values = [variable.numpy() for variable in variables]
        return self.last


class PlantedSetup(HandoverSetup):
    """A setup that keeps the start of the trainings that it resumes, by method."""

    def __init__(self, subject, narrow=False):
        super().__init__(subject, narrow)
        self.resumed = {}

    def resume(self, method):
        found = super().resume(method)
        self.resumed[method] = Planted(found)
        return found


class Begun:
    """The trainings of `Trajectories` that `method` takes part in, followed unchanged, and where they were begun."""

    def __init__(self, trajectories, method):
        self.trajectories = trajectories
        self.unchanged = trajectories.comparison(method).outcome(method)
        self.setup = trajectories.setup.narrow if method == NARROW else trajectories.setup
        self.trainings = self.setup.resumed

    @property
    def reference(self):
        """A new reference trajectory from the hand-over."""
        return self.setup.reference()

    def follow(self, trainings, steps=STEPS):
        """What becomes of `trainings`, by name."""
        return compare(self.reference, trainings, self.trajectories.setup.batches[:steps]).outcomes


def moment(training, kind, leaf):
    """The variable that holds a moment."""
    if isinstance(training, KerasContinuation):
        return training.optimizer.slots(dict(training.parameters)[leaf])[kind].value
    names = [place(name) for name in training.handover.moments]
    return training.module.optimizer_vars[names.index((kind, leaf))]


def swap(one, other):
    before = one.numpy()
    one.assign(other)
    other.assign(before)


def at(number):
    """A decorator: before step `number`, the fault does something to the training."""

    def decorated(fault):
        @functools.wraps(fault)
        def planted(training, batch, now):
            if now == number:
                fault(training)
            return training.step(batch)

        return planted

    return decorated


def after(number):
    """A decorator: after step `number`, the fault does something, given what training was before."""

    def decorated(fault):
        @functools.wraps(fault)
        def planted(training, batch, now):
            before = training.state()
            answer = training.step(batch)
            if now == number:
                fault(training, before)
            return {**answer, **training.state()}

        return planted

    return decorated


@at(1)
def means_for_squares(training):
    for leaf, _ in training.parameters:
        swap(moment(training, "mu", leaf), moment(training, "nu", leaf))


@at(1)
def moments_of_another_parameter(training):
    swap(moment(training, "mu", "norm/bias"), moment(training, "mu", "norm/scale"))


@at(1)
def squares_of_another_parameter(training):
    swap(moment(training, "nu", "norm/bias"), moment(training, "nu", "norm/scale"))


@at(1)
def count_behind(training):
    count = training.optimizer.iterations if isinstance(training, KerasContinuation) else training.module.step
    count.assign(count - 1)


@at(1)
def count_of_the_optimizer_behind(training):
    training.module.optimizer_vars[training.handover.moments.index("0/count")].assign(BEGIN - 1)


@after(4)
def key_reset(training, before):
    training.module.rng.assign(before["key"])


@after(3)
def decayed_statistics(training, before):
    for leaf, variable in training.other:
        if leaf != "seen":
            variable.assign(variable * np.float32(1 - 0.01 * 0.01))


@after(2)
def statistic_not_updated(training, before):
    dict(training.other)["var"].assign(before["batch_stats/var"])


@after(3)
def update_lost(training, before):
    variable = dict(training.parameters)["hidden/kernel"]
    variable.assign(before["parameters/hidden/kernel"])


def parameter_off(leaf, error):
    """Every element of a parameter off by a relative error, signs at random, when it is handed over."""

    @at(1)
    def planted(training):
        variable = dict(training.parameters)[leaf]
        signs = 2 * np.random.default_rng(7).integers(0, 2, variable.shape) - 1
        variable.assign((variable.numpy().astype(np.float64) * (1 + error * signs)).astype(np.float32))

    return planted
