"""Relations between a runtime's own answers: they hold for a sound case, and planted defects break them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from parity.cases.case import State, Training
from parity.cases.functions import flatten
from parity.cases.loading import load
from parity.probes.declaration import Scope
from parity.probes.evaluation import Place
from parity.probes.relations import PROBE, padding, permuted_rows, relations
from parity.records import FAIL, MISSING, PASS
from parity.runtimes.base import AtState
from parity.runtimes.registry import runtimes
from parity.runtimes.saved_model import SavedModel
from parity.runtimes.saved_model_fresh import SavedModelFresh
from parity.scoring import rules
from parity.scoring.rules import Budget
from parity.tests.support import samples, tiny

pytestmark = pytest.mark.slow

SIZE = 13


@pytest.fixture
def subject(tiny_subject):
    return tiny_subject.with_parts()


def planned(probes=tiny.tiny.probes, names=None):
    """The relations of a case with these probes, each with its runtime, where the runtimes `names` are selected."""
    selected = [runtime for name, runtime in runtimes().items() if names is None or name in names]
    scope = Scope(case=tiny.case(probes=probes), runtimes=selected, probes=(PROBE.name,), sizes=(SIZE,))
    return [(item.variant, item.runtime) for item in PROBE.plan(scope, PROBE)]


def statuses(subject, name, runtime):
    return {r.leaf: r.status for r in relations()[name].results(subject, Place(runtime), SIZE)}


# Saving again starts a process: `test_run` has one without a fault.
@pytest.mark.parametrize(("name", "runtime"), [pair for pair in planned() if pair[0] != "saved_again"])
def test_every_relation_holds_for_a_sound_case(subject, name, runtime):
    found = statuses(subject, name, runtime)
    assert found
    assert set(found.values()) == {PASS}


def test_every_relation_is_planned_and_none_that_the_case_or_the_run_cannot_answer():
    assert {name for name, _ in planned()} == set(relations())
    assert set(relations()) == {
        "split_batch", "permuted_rows", "padding", "fixed_batch_size", "two_loads", "saved_again", "modes_agree",
    }  # fmt: skip
    assert planned(("rng",), ["saved_model"]) == [("two_loads", "saved_model"), ("saved_again", "saved_model")]
    assert not [name for name, _ in planned(names=["tf_graph", "tf_xla"]) if name == "modes_agree"]
    assert [pair for pair in planned() if pair[0] == "modes_agree"] == [("modes_agree", "tf_xla")]


def normalised(state, data):
    logits = tiny.logits(state[0], data)
    return jax.nn.log_softmax((logits - logits.mean(0)) / (logits.std(0) + 1e-3))


def reversed_rows(state, data):
    return tiny.predict(state, data)[::-1]


def shifted_rows(state, data):
    return jnp.roll(tiny.predict(state, data), 1, axis=0)


def first_row_leaks(state, data):
    return tiny.predict(state, data) + 1e-3 * data[:1, :1]


def last_row_leaks(state, data):
    return tiny.predict(state, data) + 1e-3 * data[-1:, :1]


def without_rows(state, data):
    return tiny.predict(state, data).mean()


@pytest.fixture
def planted_in(subject, subject_of, tmp_path):
    """Gives the trained case another prediction; for runtimes that read no bundle."""

    def planted(predict):
        case = replace(tiny.tiny, predict=predict)
        return subject_of(case, trained=replace(subject.trained, case=case), bundle=tmp_path)

    return planted


@pytest.mark.parametrize(
    ("runtime", "predict", "broken"),
    [
        ("jax", normalised, {"split_batch", "padding"}),
        ("jax", reversed_rows, {"split_batch", "permuted_rows", "padding"}),
        ("jax", shifted_rows, {"split_batch", "permuted_rows", "padding"}),
        ("jax", first_row_leaks, {"split_batch", "permuted_rows"}),
        ("jax", last_row_leaks, {"split_batch", "permuted_rows", "padding"}),
        ("tf_graph", last_row_leaks, {"split_batch", "permuted_rows", "padding"}),
    ],
)
def test_a_case_whose_rows_depend_on_each_other_fails(planted_in, runtime, predict, broken):
    planted = planted_in(predict)
    found = {n: statuses(planted, n, runtime) for n in ("split_batch", "permuted_rows", "padding")}
    assert {name for name, leaves in found.items() if FAIL in leaves.values()} == broken, found


def test_extreme_padding_is_seen_where_examples_hide_a_leak(planted_in):
    def leak(state, data):
        return tiny.predict(state, data) + 1e-12 * data[-1:, :1]

    assert statuses(planted_in(leak), "padding", "jax") == {"examples/output": PASS, "extreme/output": FAIL}


def test_padding_reaches_the_next_batch_size_of_the_run(subject, subject_of, monkeypatch):
    announced = subject_of(tiny.tiny, trained=subject.trained)
    announced.announce([samples.item("predict", "jax", size, "cpu:0", "none") for size in (SIZE, 20)])
    sizes, runtime = [], announced.runtime("jax")
    compute = runtime.compute
    monkeypatch.setattr(runtime, "compute", lambda e, batch, on: (sizes.append(batch.size), compute(e, batch, on))[1])
    assert set(statuses(announced, "padding", "jax").values()) == {PASS}
    assert set(sizes) == {SIZE, 20}


def test_a_permutation_commutes_with_no_reversal_and_no_shift():
    for size in (4, 13, 20, 256):
        order = permuted_rows.permutation(size)
        rows = np.arange(size)
        assert sorted(order) == list(rows)
        assert any(rows[::-1][order] != rows[order][::-1])
        assert all(any(np.roll(rows, by)[order] != np.roll(rows[order], by)) for by in range(1, size)), size


def test_integers_are_not_made_extreme():
    found = padding._extreme(np.arange(4, dtype=np.int32), 2, 0)
    assert found.tolist() == [0, 1, 2, 3]
    wide = padding._extreme(np.ones((3, 2), np.float32), 1, 0)
    assert np.isfinite(wide).all()
    assert (np.abs(wide[1:]) == np.finfo(np.float32).max).all()


def test_a_case_with_named_inputs_and_integers_holds_as_well(subject_of):
    subject = subject_of(replace(load("ratings"), training=Training(epochs=1, batch_size=640)))
    for name in ("split_batch", "permuted_rows", "padding"):
        assert set(statuses(subject, name, "jax").values()) == {PASS}


def test_a_program_that_depends_on_how_the_batch_size_is_known_fails(planted_in):
    def predict(state, data):
        return tiny.predict(state, data) + (1e-3 if isinstance(data.shape[0], int) else 0.0)

    found = statuses(planted_in(predict), "fixed_batch_size", "tf_graph")
    assert found == {"predict/output": FAIL, "eval_loss/loss": PASS}


class Faulty(SavedModel):
    """The artifact with a fault planted in the loaded module."""

    def __init__(self, model, fault):
        super().__init__(model)
        self.fault = fault

    def module(self):
        module = super().module()
        self.fault(module)
        return module


def next_key(module):
    module.rng.assign(module.rng + 1)


def one_ulp(module):
    kernel = module.state_vars[1]
    kernel.assign(np.nextafter(kernel.numpy(), np.float32(np.inf)))


def noise(module):
    predict = module.predict
    module.predict = lambda data: predict(data) + 1e-6 * tf.random.normal([3])


@pytest.mark.parametrize(
    ("fault", "red"),
    [
        (next_key, {"rng"}),
        (one_ulp, {"predict", "eval_gradient", "train_gradient"}),
        (noise, {"predict"}),
    ],
)
def test_a_load_that_differs_in_anything_is_seen(subject, fault, red):
    faulty = subject.with_runtimes({"saved_model": Faulty(subject.runtime("saved_model").model, fault)})
    found = statuses(faulty, "two_loads", "saved_model")
    assert {leaf.partition("/")[0] for leaf, status in found.items() if status != PASS} == red


def save_from(change, folder):
    def save_again(self):
        from parity.export import artifact

        module = artifact.load(self.model.bundle / "saved_model")
        serving = module.signatures["serving_default"]
        change(module)
        without = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder / "saved_model"), signatures=serving, options=without)
        return folder

    return save_again


def test_a_model_that_changes_when_it_is_saved_again_is_seen(subject, monkeypatch, tmp_path):
    def half(module):
        module.state_vars[0].assign(module.state_vars[0] * 1.0001)

    # Without gradients, which this process cannot save again.
    predicting = subject.with_parts(case=replace(tiny.tiny, probes=("predict",)))
    monkeypatch.setattr(SavedModelFresh, "save_again", save_from(half, tmp_path))
    found = statuses(predicting, "saved_again", "saved_model")
    assert found == {"predict/output": FAIL, "serving_default/output": FAIL}


def test_a_model_that_is_saved_again_without_a_signature_is_seen(subject, monkeypatch, tmp_path):
    from parity.export import artifact, conversion

    module = conversion.Exported(tiny.tiny, subject.trained.state, artifact.graph)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, str(tmp_path / "saved_model"), options=options)
    monkeypatch.setattr(SavedModelFresh, "save_again", lambda self: tmp_path)
    found = statuses(subject, "saved_again", "saved_model")
    assert {leaf for leaf, status in found.items() if status != PASS} == {"serving_default/output"}
    assert found["serving_default/output"] == MISSING


@pytest.mark.parametrize("moved", ["tf_eager", "tf_graph", "tf_xla"])
def test_a_mode_that_stands_alone_is_seen(subject, moved):
    state = subject.trained.state
    off = State({**state.params, "output": state.params["output"] * np.float32(1.01)}, state.other, state.rng)
    alone = subject.with_runtimes({moved: AtState(subject.runtime(moved), flatten(off))})
    found = statuses(alone, "modes_agree", "tf_xla")
    pairs = {leaf.partition("/")[0] for leaf in found}
    red = {leaf.partition("/")[0] for leaf, status in found.items() if status != PASS}
    assert pairs == {"tf_eager-tf_graph", "tf_eager-tf_xla", "tf_graph-tf_xla"}
    assert red == {pair for pair in pairs if moved in pair}


ONE = {"a": np.ones(3, np.float32), "b": np.arange(3)}


@pytest.mark.parametrize(
    ("change", "status", "output"),
    [
        ({"a": None}, MISSING, "lacks this leaf, which the other's has"),
        ({"a": np.ones(4, np.float32)}, FAIL, "shape (4,), the other's is (3,)"),
        ({"a": np.ones(3, np.float64)}, FAIL, "dtype float64, the other's is float32"),
        ({"a": np.array([1, np.nan, 1], np.float32)}, FAIL, "NaN"),
        ({"a": np.array([1, np.inf, 1], np.float32)}, FAIL, "infinity"),
        ({"b": np.arange(3) + 1}, FAIL, "exact"),
        ({"c": np.ones(1, np.float32)}, FAIL, "which the other's lacks"),
        ({"a": np.full(3, 2, np.float32)}, FAIL, "score 100 over the limit 64"),
    ],
)
def test_whatever_differs_but_by_rounding_is_out_of_order_and_blames_nobody(change, status, output):
    changed = {leaf: array for leaf, array in {**ONE, **change}.items() if array is not None}
    found = {r.leaf: r for r in rules.judge_alike(changed, ONE, {"a": Budget(0.01, 0.01)}, 64.0, "the other")}
    [judged] = [r for leaf, r in found.items() if leaf in change]
    assert judged.status == status
    assert output in judged.message
    assert "moved" not in judged.message
    assert judged.jax_score is None


def test_to_the_bit_is_to_the_bit():
    zero = {"a": np.zeros(2, np.float32)}
    [same] = rules.judge_identical(zero, {"a": zero["a"].copy()}, "the first")
    [other] = rules.judge_identical({"a": -zero["a"]}, zero, "the first")
    [ulp] = rules.judge_identical({"a": np.nextafter(zero["a"], np.float32(1))}, zero, "the first")
    assert (same.status, other.status, ulp.status) == (PASS, FAIL, FAIL)
    assert other.message == "must equal the first to the bit, and differs, 0 ulp at most"
    assert ulp.message == "must equal the first to the bit, and differs, 1 ulp at most"
