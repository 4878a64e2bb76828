"""What a case must be, and what is said of one that is not; and that a probe without power fails."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.cases.case import PROBES, State, Training
from parity.cases.functions import leaf_name
from parity.cases.loading import load
from parity.cases.specs import Spec
from parity.core.errors import CaseError, InputError
from parity.probes import power, training
from parity.records import FAIL, PASS
from parity.runtimes.base import FixedAnswers
from parity.tests.support import tiny
from parity.tests.support.scores import results, statuses

pytestmark = pytest.mark.slow


def refusal(subject_of, **changes):
    with pytest.raises((CaseError, InputError)) as caught:
        subject_of(tiny.case(**changes)).trained  # noqa: B018 - training is what is refused
    return str(caught.value)


def test_a_loss_that_is_not_a_scalar(subject_of):
    def loss(params, other_state, rng, data, labels, train):
        return jnp.sum(tiny.predict((params, other_state), data) * labels, axis=-1), other_state

    assert "the loss is float32[2], expected a float scalar. Take the mean" in refusal(subject_of, loss=loss)


def test_a_loss_that_raises_at_the_batch_size_of_training_alone(subject_of):
    def loss(params, other, rng, data, labels, train):
        shape = (3, 16) if len(data) == 16 else (-1, 4)
        return tiny.loss(params, other, rng, data.reshape(shape), labels, train)

    assert "b=16" in refusal(subject_of, loss=loss)


def test_a_loss_that_returns_no_state(subject_of):
    assert "must return (loss, new_other_state)" in refusal(subject_of, loss=lambda *a: tiny.loss(*a)[0])


def test_a_loss_that_raises(subject_of):
    assert "loss raised ZeroDivisionError" in refusal(subject_of, loss=lambda *a: 1 / 0)


def test_parameters_that_are_not_float(subject_of):
    def init(rng):
        params, other = tiny.init(rng)
        return {**params, "count": jnp.zeros(3, jnp.int32)}, other

    assert "parameter count is int32, expected a floating dtype" in refusal(subject_of, init=init)


def test_no_parameters(subject_of):
    assert "has no parameters" in refusal(subject_of, init=lambda rng: ({}, {}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_parameters(subject_of, value):
    def init(rng):
        params, other = tiny.init(rng)
        return {**params, "output": params["output"].at[0, 0].set(value)}, other

    assert "output has non-finite values before training" in refusal(subject_of, init=init)


@pytest.mark.parametrize("part", ["train", "test"])
def test_examples_with_nan(subject_of, part):
    found = tiny.tiny.dataset()
    batch = getattr(found, part)
    data = np.array(batch.data)
    data[3, 1] = np.nan
    wrong = dataclasses.replace(found, **{part: dataclasses.replace(batch, data=data)})
    text = refusal(subject_of, dataset=lambda: wrong)
    assert f"the {part} set has NaN in data, in 1 examples, first in number 3" in text


def test_training_that_diverges(subject_of):
    def loss(params, other_state, rng, data, labels, train):
        value, other = tiny.loss(params, other_state, rng, data, labels, train)
        return value * jnp.log(-1.0), other

    assert "non-finite values after training" in refusal(subject_of, loss=loss)


def test_data_of_another_shape_or_dtype(subject_of):
    assert "is float32[80, 4], expected float32[b, 5]. Reshape" in refusal(subject_of, data=Spec("b", 5))
    assert "expected int32[b, 4]. Convert it" in refusal(subject_of, data=Spec("b", 4, dtype="int32"))


def test_two_leaves_of_one_name(subject_of):
    def init(rng):
        params, other = tiny.init(rng)
        return {**params, "hidden/kernel": params["output"]}, other

    assert "two leaves are named hidden/kernel" in refusal(subject_of, init=init)


def test_an_average_of_the_parameters_beside_them(subject_of):
    """Leaves of the parameters and of the other state may share names: each is its own variable."""

    def init(rng):
        params, _ = tiny.init(rng)
        return params, params

    def loss(params, average, rng, data, labels, train):
        value, _ = tiny.loss(params, {}, rng, data, labels, train)
        return value, jax.tree_util.tree_map(lambda a, p: 0.9 * a + 0.1 * p if train else a, average, params)

    subject = subject_of(tiny.case(init=init, loss=loss, probes=("train_gradient", "batch_stats")))
    for probe in ("train_gradient", "batch_stats"):
        assert statuses(subject, probe, "tf_graph") == {PASS}


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        ({"accuracy": lambda s, x, y: tiny.predict(s, x)}, "the accuracy is float32[2, 3], expected a float scalar"),
        ({"accuracy": lambda s, x, y: 1 / 0}, "accuracy raised ZeroDivisionError"),
        ({"predict": lambda s, x: {}}, "predict returns {}, expected an array or a pytree of arrays"),
        ({"predict": lambda s, x: {"y": x, "key": jax.random.key(0)}}, "key_data"),
        ({"probes": ("batch_stats",)}, "no other state. Leave the probe out"),
        ({"dataset": lambda: 1 / 0}, "dataset raised ZeroDivisionError"),
    ],
)
def test_functions_that_do_not_fit(subject_of, changes, output):
    assert output in refusal(subject_of, **changes)


def test_64_bits_are_refused():
    with pytest.raises(InputError, match=r"JAX computes in 32 bits.*Give int32"):
        Spec("b", dtype="int64")


@pytest.mark.parametrize("given", [{"batch_size": 0}, {"epochs": -1}])
def test_a_batch_size_below_one_is_refused(given):
    with pytest.raises(CaseError, match="expected a batch size of at least 1"):
        Training(**given)


def test_a_failure_is_kept_and_not_tried_again(subject_of):
    calls = []

    def init(rng):
        calls.append(rng)
        raise ValueError("once")

    subject = subject_of(tiny.case(init=init))
    counts = []
    for _ in range(3):
        with pytest.raises(CaseError, match="init raised ValueError: once"):
            subject.trained  # noqa: B018 - training is what fails
        counts.append(len(calls))
    assert counts == [3, 3, 3]  # it is traced for the size of its parameters and to be compiled, and called at last


@pytest.fixture
def trained_as(subject_of, tiny_subject):
    """Makes a subject of the tiny case with some fields changed, trained as the tiny case."""

    def made(**changes):
        case = tiny.case(**changes)
        return subject_of(case, trained=dataclasses.replace(tiny_subject.trained, case=case))

    return made


@pytest.mark.parametrize("factor", [jnp.nan, jnp.inf])
def test_predictions_without_a_number_are_compared_by_pattern_and_have_no_power(trained_as, factor):
    subject = trained_as(predict=lambda s, x: tiny.predict(s, x) * factor)
    [found] = results(subject, "predict", "tf_graph")
    assert (found.status, found.score) == (PASS, 0.0)
    assert found.message
    assert powerless(subject, "predict")


def fractions(state, data):
    whole = jnp.round(data * 8)
    return {"scores": tiny.predict(state, data), "eighths": (whole / 8).sum(1), "tenths": (whole / 10).sum(1)}


def test_an_oracle_of_exact_fractions_may_equal_jax_and_one_of_others_may_not(trained_as):
    subject = trained_as(predict=fractions)
    found = {r.leaf: r for r in results(subject, "predict", "jax_float64")}
    assert {leaf: r.status for leaf, r in found.items()} == dict.fromkeys(("eighths", "scores", "tenths"), PASS)
    assert [leaf for leaf, r in found.items() if r.bits_equal] == ["eighths"]
    jax = subject.kept("jax", "predict", 13)
    in_float32 = {"predict": {leaf: array.astype(np.float64) for leaf, array in jax["predict"].items()}}
    other = subject.with_runtimes({"jax_float64": FixedAnswers(subject.runtime("jax_float64"), in_float32)})
    found = {r.leaf: r for r in results(other, "predict", "jax_float64")}
    assert [leaf for leaf, r in found.items() if r.status == FAIL] == ["scores", "tenths"]


def long_sum(state, data):
    terms = jnp.repeat(tiny.predict(state, data)[:1], 45_000, axis=0)
    return {"scores": tiny.predict(state, data), "sum": jax.ops.segment_sum(terms, jnp.zeros(45_000, jnp.int32), 1)}


@pytest.mark.parametrize(("factor", "status"), [(1.0, PASS), (1.001, FAIL)])
def test_an_oracle_of_a_long_sum_of_equal_terms_is_right_and_one_that_is_off_is_not(trained_as, factor, status):
    subject = trained_as(predict=long_sum)
    own = subject.kept("jax_float64", "predict", 13)["predict"]
    answers = {"predict": {**own, "sum": own["sum"] * factor}}
    other = subject.with_runtimes({"jax_float64": FixedAnswers(subject.runtime("jax_float64"), answers)})
    found = {r.leaf: r for r in results(other, "predict", "jax_float64")}
    assert {leaf: r.status for leaf, r in found.items()} == {"scores": PASS, "sum": status}
    assert (found["scores"].message is None, found["sum"].message is None) == (True, False)


def test_integer_predictions_are_scored_exactly_on_any_device(trained_as):
    def predict(state, data):
        scores = tiny.predict(state, data)
        return {"scores": scores, "best": jnp.argmax(scores, axis=-1)}

    subject = trained_as(predict=predict)
    for probe in ("predict", "accuracy"):
        assert statuses(subject, probe, "tf_graph", device="cpu:1") == {PASS}


def test_a_training_set_smaller_than_a_batch(subject_of):
    assert "fewer than a batch of 256" in refusal(subject_of, training=Training())


def test_a_batch_larger_than_the_test_set(tiny_subject):
    with pytest.raises(InputError, match="batch size 41: expected 1 to 40"):
        tiny_subject.batch(41)


@pytest.mark.parametrize("runtime", ["jax", "tf_graph", "saved_model"])
def test_a_runtime_refuses_a_batch_that_does_not_fit(tiny_subject, runtime):
    opened, good = tiny_subject.runtime(runtime), tiny_subject.batch(13)
    for batch, output in (
        (dataclasses.replace(good, data=good.data[:, :3]), "expected float32"),
        (dataclasses.replace(good, data=good.data.astype(np.float64)), "Convert it with .astype('float32')"),
        (good.map(lambda a: a[:0]), "is empty. Expected a batch size of at least 1"),
    ):
        with pytest.raises(InputError, match="case 'tiny': data 'data'") as caught:
            opened.evaluate("predict", batch, "cpu:0")
        assert output in str(caught.value)


def powerless(subject, probe):
    return power.result(probe, power.PowerStudy(subject).of(probe, 13)).status == FAIL


@pytest.mark.parametrize("probe", tiny.tiny.probes)
def test_a_trained_model_gives_every_probe_power(tiny_subject, probe):
    assert not powerless(tiny_subject, probe)


def test_a_saturated_loss_is_powerless(trained_as):
    """Logits so far apart that the loss is 0 in float32, and no weight matters."""

    def loss(params, other_state, rng, data, labels, train):
        apart = 200 * labels + 1e-3 * tiny.logits(params, data)
        return -jnp.mean(jnp.sum(jnp.exp(apart - 200) * 0 + jnp.log1p(-jnp.exp(-200 + 0 * apart)), -1)), other_state

    subject = trained_as(loss=loss)
    assert powerless(subject, "eval_loss")
    assert powerless(subject, "eval_gradient")


def test_dead_units_are_powerless(trained_as):
    def dead(params, other_state, rng, data, labels, train):
        return -jnp.mean(jnp.sum(tiny.logits(params, data, offset=-1e4) * labels, -1)), other_state

    subject = trained_as(loss=dead)
    assert powerless(subject, "eval_gradient")


def test_a_weight_among_many_that_are_not_used_gives_power(subject_of, tiny_subject):
    """More tensors than are moved one at a time, of which those that count are none."""
    unused = {f"a{number:02}": np.ones(2 + number, np.float32) for number in range(60)}

    def init(rng):
        params, other = tiny.init(rng)
        return {**unused, **params, "z": np.ones(100, np.float32)}, other

    trained, case = tiny_subject.trained, tiny.case(init=init)
    state = trained.state._replace(params={**unused, **trained.state.params, "z": np.ones(100, np.float32)})
    subject = subject_of(case, trained=dataclasses.replace(trained, case=case, state=state))
    study = power.PowerStudy(subject)
    rows = study.of("predict", 13)
    alone = [row for row in rows if len(study.leaves[row.weight]) == 1]
    assert len(alone) == power.MOST_TENSORS
    assert [row.weight for row in rows if row not in alone] == ["52 other tensors together"]
    assert not powerless(subject, "predict")


def test_an_untrained_model_fails(subject_of):
    found = {r.leaf: r for r in training.results(subject_of(tiny.case(training=Training(0, 1, 16))).trained)}
    assert found["evaluation_loss"].status == found["state"].status == FAIL
    assert "untrained" in found["state"].message


FIRST = ({"a": {"w": np.zeros(2, np.float32)}, "b": np.zeros((), np.float32)}, {"mean": np.zeros(1, np.float32)})
COUNTED = {"count": np.zeros((), np.uint32), "key": np.zeros(2, np.uint32), "seen": np.zeros((), bool)}


def judged_state(still, frozen=()):
    """The check of a state in which all but `still` moved."""

    def after(path, leaf):
        return leaf if leaf_name(path[1:]) in still else leaf + 1

    first = (FIRST[0], {**FIRST[1], **COUNTED})
    last = jax.tree_util.tree_map_with_path(after, first)
    states = {"initial": State(*first, None), "state": State(*last, None)}
    metrics = SimpleNamespace(eval_loss=[0.5])
    trained = SimpleNamespace(case=tiny.case(frozen=frozen), initial_eval_loss=1.0, metrics=metrics, **states)
    return {result.leaf: result for result in training.results(trained)}["state"]


def test_a_parameter_or_a_statistic_that_does_not_move_must_be_frozen():
    for leaf in ("a/w", "b", "mean"):
        found = judged_state({leaf, *COUNTED})
        assert found.status == FAIL
        assert f"{leaf} did not move" in found.message
        assert f"frozen=({leaf!r},)" in found.message
        assert judged_state({leaf, *COUNTED}, frozen=(leaf,)).status == PASS
    assert judged_state({"a/w", "mean"}, frozen=("a/*", "mean")).status == PASS


def test_what_is_frozen_must_not_move():
    found = judged_state({"b"}, frozen=lambda leaf: leaf in ("a/w", "b"))
    assert found.status == FAIL
    assert "a/w" in found.message
    assert "did not move" not in found.message


def test_keys_and_counts_of_random_numbers_that_are_not_drawn_need_not_move():
    assert judged_state(set(COUNTED)).status == PASS


def test_a_trained_model_passes(tiny_subject):
    assert {r.status for r in training.results(tiny_subject.trained)} == {PASS}


def test_cases_that_ship_are_small():
    from pathlib import Path

    from parity.cases.shipped import ratings

    assert len(Path(ratings.__file__).read_text().splitlines()) <= 80
    assert load("ratings").data.keys() == {"user", "context"}


def test_the_same_case_is_trained_to_the_same_bits(tiny_subject, subject_of):
    one, two = tiny_subject.trained, subject_of(tiny.tiny).trained
    assert one.metrics == two.metrics
    assert all((one.state.params["hidden"][k] == two.state.params["hidden"][k]).all() for k in ("kernel", "bias"))


@pytest.fixture(scope="module")
def miniature(frameworks):
    from parity.core.ledger import TimeLedger
    from parity.runtimes.subject import Subject

    subject = Subject(load("miniature"), TimeLedger())
    yield subject
    subject.close()


def test_the_miniature_is_neither_untrained_nor_saturated_and_asks_everything(miniature):
    assert 0.05 <= miniature.trained.metrics.eval_loss[-1] <= 1.0
    assert {r.status for r in training.results(miniature.trained)} == {PASS}
    assert miniature.case.probes == PROBES


@pytest.mark.parametrize("size", [1, 13])
def test_the_miniature_has_power_where_an_answer_is_discrete(miniature, size):
    """The one probe that a case so small easily leaves powerless: a class that no error in a weight changes."""
    assert power.result("accuracy", power.PowerStudy(miniature).of("accuracy", size)).status == PASS
