"""The first update in TensorFlow is Adam's formula, and an optimizer that computes another is found."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from parity.handover import finetuning
from parity.probes.finetuning import off_formula, results
from parity.records import FAIL, PASS
from parity.tests.support import tiny

Adam = tf.keras.optimizers.Adam


class CountsOneMore(Adam):
    """Right before and after, one too many in between."""

    def update_step(self, gradient, variable, learning_rate):
        self._iterations.assign_add(1)
        super().update_step(gradient, variable, learning_rate)
        self._iterations.assign_sub(1)


class HasMoments(Adam):
    def build(self, variables):
        super().build(variables)
        for moment in self._momentums:
            moment.assign(tf.fill(moment.shape, 1e-3))


class BiasedEpsilon(Adam):
    """Epsilon beside the unbiased root, as in Optax."""

    def update_step(self, gradient, variable, learning_rate):
        self.epsilon = 1e-7 * float(np.sqrt(1 - 0.999**21))
        super().update_step(gradient, variable, learning_rate)


def first_update(subject, monkeypatch, optimizer=Adam):
    monkeypatch.setattr(tf.keras.optimizers, "Adam", optimizer)
    monkeypatch.setattr(subject, "case", tiny.case(training=replace(tiny.tiny.training, epochs_after=1)))
    after = finetuning.finetune(subject, subject.trained.steps)
    [found] = [j for j in results(subject, after) if j.leaf == "first_update"]
    return found


def test_keras_adam_is_the_formula(tiny_subject, monkeypatch):
    assert first_update(tiny_subject, monkeypatch).status == PASS


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: Adam(rate, epsilon=1e-8),
        lambda rate: Adam(rate, beta_1=0.91),
        lambda rate: Adam(rate, beta_2=0.9991),
        lambda rate: Adam(rate, clipnorm=0.5),
        lambda rate: Adam(rate, weight_decay=1e-3),
        CountsOneMore,
        HasMoments,
        BiasedEpsilon,
        tf.keras.optimizers.Nadam,
    ],
)
def test_another_optimizer_is_found(tiny_subject, monkeypatch, optimizer):
    found = first_update(tiny_subject, monkeypatch, optimizer)
    assert found.status == FAIL
    assert "times what rounding allows" in found.message


@pytest.mark.parametrize("by", [-1, 1])
def test_an_iteration_count_that_is_off_by_one_is_found(tiny_subject, monkeypatch, by):
    class Off(Adam):
        def build(self, variables):
            super().build(variables)
            assign = self.iterations.assign
            self.iterations.assign = lambda value: assign(value + by)

    found = first_update(tiny_subject, monkeypatch, Off)
    assert found.status == FAIL
    assert "counted from" in found.message


def test_no_step_is_no_first_update():
    assert off_formula(None, 0) == "no step was taken in TensorFlow"


@pytest.mark.parametrize("step", [1, 2, 21, 1000, 100_000])
def test_the_formula_is_that_of_keras_at_every_step(step):
    gradient = np.float32(10.0) ** np.linspace(-9, 1, 50, dtype=np.float32)
    variable = tf.Variable(np.zeros_like(gradient))
    optimizer = Adam(0.01)
    optimizer.build([variable])
    optimizer.iterations.assign(step - 1)
    optimizer.apply_gradients([(tf.constant(gradient), variable)])
    before, after = {"v": np.zeros_like(gradient)}, {"v": variable.numpy()}
    first = finetuning.FirstUpdate({"v": gradient}, before, after, float(np.float32(0.01)), (step - 1, step))
    assert off_formula(first, step - 1) is None
    moved = {"v": after["v"] * np.float32(1 + 1e-3)}
    wrong = finetuning.FirstUpdate({"v": gradient}, before, moved, float(np.float32(0.01)), (step - 1, step))
    assert "Adam's formula" in off_formula(wrong, step - 1)
