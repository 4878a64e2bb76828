"""Trainings handed over with something wrong in them; they share what is compiled, and keep their own variables."""

import copy
import functools

import numpy as np
import pytest

from parity.handover.continuing import KerasContinuation, resume
from parity.handover.course import Course
from parity.handover.slots import place
from parity.handover.trajectory import Follower

STEPS = 15
"""All three epochs after the hand-over of `tiny_training`; the rate changes after the first of them."""
BEGIN, EPOCH = 10, 5


class Planted:
    """A training that takes its steps as `fault(training, batch, number)` says; `number` counts from 1."""

    def __init__(self, training, fault=None):
        self.training, self.fault, self.last = training, fault, {}
        self._number, self._values = 0, [variable.numpy() for variable in training.variables()]

    def again(self, fault):
        """The same from the same point, with another fault."""
        other = copy.copy(self)
        other.fault = fault
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


class Begun:
    """Where the trainings of a way of `Trajectories` began, and JAX's course; they are followed honestly meanwhile."""

    def __init__(self, trajectories, way):
        self.trajectories, self.trainings = trajectories, {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("parity.handover.trajectories.Course", self._course)
            patch.setattr("parity.handover.trajectories.resume", self._resume)
            self.honest = trajectories.of(way)

    def _course(self, *args):
        course = Course(*args)
        self._begin = rewound(course)
        return course

    def _resume(self, way, handover):
        found = resume(way, handover)
        self.trainings[way] = Planted(found)
        return found

    @property
    def course(self):
        return rewound(self._begin)

    def follow(self, trainings, steps=STEPS):
        """What becomes of `trainings`, by name."""
        follower = Follower(self.course, trainings)
        for batch in self.trajectories.batches[:steps]:
            follower.step(batch)
        return follower.followed


def rewound(course):
    """Another course from where `course` is, with the same compiled functions."""
    other = copy.copy(course)
    other._members = list(course._members)
    return other


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
            training.step(batch)
            if now == number:
                fault(training, before)
            return {**training.last, **training.state()}

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
