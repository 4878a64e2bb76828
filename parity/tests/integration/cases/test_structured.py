"""Nested inputs and outputs, sizes with names, outputs of every kind: they pass, and what is planted in them fails."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from parity import Batch, Dataset, Training, records
from parity.cases import layout, symbols
from parity.cases.case import Case
from parity.cases.layout import FIXED, OTHER, ROWS, WHOLE, Output
from parity.cases.loading import prepared
from parity.cases.specs import Spec, by_name
from parity.cases.structure import flat_outputs
from parity.cases.training import begin, check, examples
from parity.core.errors import CaseError, InputError
from parity.core.ledger import TimeLedger
from parity.export.programs import exported
from parity.latency import PREDICT, steps
from parity.probes import artifact
from parity.probes.evaluation import Place
from parity.probes.relations import PROBE as RELATIONS
from parity.probes.relations import relations
from parity.probes.seeded_defects import defects, result
from parity.records import PASS
from parity.runtimes.base import FixedAnswers
from parity.runtimes.saved_model import SavedModel
from parity.runtimes.subject import Subject
from parity.session.planning import Planner
from parity.session.selection import Selection
from parity.tests.support import samples, structured, tiny
from parity.tests.support.documents import CHAPTERS, Document
from parity.tests.support.scores import results

pytestmark = pytest.mark.slow

SIZE = 13
RUNTIMES = ("jax", "jax_float64", "saved_model")
OUTPUTS = {
    "scores": Output(ROWS), "best": Output(ROWS), "more/tokens": Output(ROWS, 1), "more/temperature": Output(FIXED),
    "more/table": Output(FIXED), "more/fixed": Output(FIXED), "more/mean": Output(WHOLE), "more/rounded": Output(ROWS),
    "more/positive": Output(ROWS), "more/half": Output(ROWS), "more/spectrum": Output(ROWS),
}  # fmt: skip
CASE = prepared(structured.case)


@pytest.fixture(scope="module")
def subject(frameworks):
    found = Subject(CASE, TimeLedger())
    found.batch(SIZE)
    yield found
    found.close()


def bad(found):
    return {r.leaf: r.message for r in found if r.status != PASS}


@pytest.mark.parametrize("sizes", [{}, {"t": 7}], ids=["its own sizes", "t=7"])
def test_every_leaf_of_every_kind_passes_at_every_value_of_t(subject, sizes):
    asked = subject.at(sizes)
    for probe, runtime in itertools.product(CASE.probes, RUNTIMES):
        found = results(asked, probe, runtime)
        assert bad(found) == {}, (probe, runtime)
        if probe == "predict":
            assert {r.leaf for r in found} == set(OUTPUTS)
    assert asked.batch(SIZE).data["sentence/words"].shape == (sizes.get("t", 16), SIZE)


def test_a_server_calls_it_by_flat_names_and_gets_the_same(subject):
    assert bad(artifact.results(subject)) == {}
    loaded = tf.saved_model.load(str(subject.bundle / "inference"))
    signature = loaded.signatures["serving_default"]
    shapes = {name: tuple(spec.shape) for name, spec in signature.structured_input_signature[1].items()}
    assert shapes == {
        "sentence_words": (None, None), "sentence_mask": (None, None), "side_scale": (), "side_rows": (None, 8),
    }  # fmt: skip
    assert set(signature.structured_outputs) == {name.replace("/", "_") for name in OUTPUTS}


def test_how_an_output_follows_the_batch_is_traced():
    assert layout.of_outputs(CASE, {"t": 16, "b": 60}) == OUTPUTS

    def predict(state, data):
        scores = tiny.predict(state, data)
        nested = jax.jit(lambda x: {"bias": state[0]["hidden"]["bias"] * 2, "sum": x.sum()})(data)
        return {"flat": scores.reshape(-1), "both": scores @ scores.T, "eight": jnp.zeros((8, 2)), **nested}

    found = layout.of_outputs(tiny.case(predict=predict), {"b": 8})
    assert {leaf: output.kind for leaf, output in found.items()} == {
        "flat": OTHER, "both": OTHER, "eight": FIXED, "bias": FIXED, "sum": WHOLE,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["split_batch", "permuted_rows", "padding", "fixed_batch_size"])
def test_relations_hold_and_leave_out_what_depends_on_all_examples(subject, name):
    runtime = "tf_graph" if name == "fixed_batch_size" else "saved_model"
    found = list(relations()[name].results(subject, Place(runtime), SIZE))
    assert bad(found) == {}
    leaves = {r.leaf for r in found}
    assert any(leaf.endswith("more/table") for leaf in leaves)
    assert any(leaf.endswith("more/mean") for leaf in leaves) == (name == "fixed_batch_size")


@pytest.mark.parametrize("name", ["moved_weight", "last_element", "false_oracle", "held_out_member"])
def test_seeded_defects_are_found_beside_integers_and_tables(subject, name):
    runtime = {"false_oracle": "jax_float64", "held_out_member": "jax"}.get(name, "saved_model")
    found = result(defects()[name], subject, Place(runtime), SIZE)
    assert (found.status, found.message) == (PASS, None)


class Faulty(SavedModel):
    """The artifact, whose outputs `fault` changes, given the inputs."""

    def __init__(self, model, fault):
        super().__init__(model)
        self.fault = fault

    def module(self):
        module = super().module()
        predict = module.predict
        module.predict = lambda data: self.fault(dict(predict(data)), data)
        return module


@pytest.fixture
def with_fault(subject):
    return lambda fault: subject.with_runtimes({"saved_model": Faulty(subject.runtime("saved_model").model, fault)})


def off(leaf, by=1e-3):
    return lambda found, data: {**found, leaf: found[leaf] + tf.cast(by, found[leaf].dtype)}


@pytest.mark.parametrize(
    ("leaf", "by"),
    [("scores", 1e-3), ("more/tokens", 1e-3), ("more/table", 1e-3), ("more/temperature", 1e-3), ("more/fixed", 1e-3),
     ("more/spectrum", 1e-3j), ("more/rounded", 1), ("best", 1), ("more/half", 8.0)],
)  # fmt: skip
def test_one_wrong_leaf_is_found_by_its_name(with_fault, leaf, by):
    assert set(bad(results(with_fault(off(leaf, by)), "predict", "saved_model"))) == {leaf}


def test_an_answer_that_is_wrong_at_another_length_alone_is_found_there(with_fault):
    def fault(found, data):
        short = data["sentence/words"].shape[0] < 16
        return off("scores")(found, data) if short else found

    faulty = with_fault(fault)
    assert bad(results(faulty, "predict", "saved_model")) == {}
    assert set(bad(results(faulty.at({"t": 7}), "predict", "saved_model"))) == {"scores"}


@pytest.mark.parametrize("name", ["split_batch", "padding"])
def test_an_output_without_rows_that_the_batch_changes_is_found(with_fault, name):
    def fault(found, data):
        return off("more/table", tf.cast(tf.shape(data["side/rows"])[0], tf.float32) * 1e-3)(found, data)

    found = relations()[name].results(with_fault(fault), Place("saved_model"), SIZE)
    assert {leaf.partition("/")[2] for leaf in bad(found)} == {"more/table"}


def test_rows_that_are_not_the_first_axis_are_followed(with_fault):
    def fault(found, data):
        return {**found, "more/tokens": tf.reverse(found["more/tokens"], [1])}

    found = relations()["permuted_rows"].results(with_fault(fault), Place("saved_model"), SIZE)
    assert set(bad(found)) == {"more/tokens"}


def planner(case, **selected):
    known = {"runtimes": ("jax", "saved_model", "saved_model_fresh"), "probes": (), "sizes": (1, 13), **selected}
    from parity.runtimes.registry import runtimes

    known["runtimes"] = tuple(runtimes()[name] for name in known["runtimes"])
    sizes = {"b": 60, "t": 16}
    return Planner(Selection({case.name: case}, **known), [], lambda name: 60, lambda name: sizes)


def test_further_values_are_planned_with_their_sizes_in_id_and_variant():
    from parity.probes.registry import probes

    found = {p: [i for i in planner(CASE).items(probes()[p]) if i.variant] for p in CASE.probes}
    assert {probe: len(items) for probe, items in found.items() if items} == {
        "predict": 3, "eval_loss": 3, "train_loss": 3,
    }  # fmt: skip
    first, second, _ = found["predict"]
    assert (first.item, second.item) == (
        "test_predict[structured-jax-b13-t=7]", "test_predict[structured-saved_model-b13-t=7]",
    )  # fmt: skip
    assert (first.variant, first.sizes, first.batch_size) == ("t=7", "t=7", 13)


def test_what_is_left_out_is_named():
    made = planner(prepared(structured.made(constraints=("t == 16", "mod(b, 4) == 1"))), default_sizes=True)
    assert {item.variant for item in made.items(RELATIONS)} & {"split_batch", "padding"} == set()
    said = " | ".join(made.left_out.values())
    for text in ("t asked at one value", "batch size 20, 60 left out", "split_batch", "more/mean: it depends on all"):
        assert text in said


class Point(NamedTuple):
    a: Any
    b: Any


TREES = st.recursive(
    st.just(Spec("b", 2)) | st.just(Spec("b", dtype="int32")) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Point, inner, inner)
        | st.dictionaries(st.sampled_from(["x", "y", "z1"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(TREES)
def test_what_is_flattened_comes_back(tree):
    """Inputs, labels and outputs of any structure are one array, or a dict by leaf name, and the user's own again."""
    seen = []

    def predict(state, data):
        seen.append(data)
        return {"found": data, "shift": [state]}

    case = Case(
        "mine",
        lambda key: ({}, {}),
        print,
        predict,
        {"first": Spec("b"), "tree": tree},
        tree,
        None,
        probes=("predict",),
    )
    flat = prepared(case)
    given_ = {"first": Spec("b"), "tree": tree}
    names = [structured_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(given_)[0]]
    assert sorted(by_name(flat.data)) == sorted(names)
    arrays = {name: np.zeros(spec.sized({"b": 3})) for name, spec in flat.data.items()}
    found = flat.predict("state", arrays)
    assert jax.tree_util.tree_structure(seen[-1]) == jax.tree_util.tree_structure(given_)
    assert {name: found[f"found/{name}"] is arrays[name] for name in names} == dict.fromkeys(names, True)
    assert found["shift/0/0"] == "s"
    leaves = jax.tree_util.tree_leaves(tree)
    assert list(by_name(flat.labels).values()) == (leaves if len(leaves) < 2 else [*by_name(flat.labels).values()])
    assert len(by_name(flat.labels)) == len(leaves)


def structured_name(path):
    return "/".join(str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path)


def test_outputs_that_a_signature_cannot_tell_apart_are_refused():
    assert flat_outputs(Point(1, [2, None]), "mine") == {"a": 1, "b/0": 2}
    assert flat_outputs(3.0, "mine") == 3.0
    with pytest.raises(CaseError, match="'mine': the outputs of predict: a/b and a_b would both be 'a_b'"):
        flat_outputs({"a": {"b": 1}, "a_b": 2}, "mine")
    with pytest.raises(CaseError, match="'structured': data: x/y and x_y would both be 'x_y'"):
        prepared(structured.made(data={"x": {"y": Spec("b")}, "x_y": Spec("b")}))


def test_examples_of_another_structure_are_refused_with_both():
    def flat(part):
        return part.data["side"].rows

    def dataset():
        found = structured.dataset()
        return Dataset(*(Batch(flat(part), part.labels) for part in vars(found).values()))

    with pytest.raises(InputError, match=r"data has \['data'\], expected \['sentence/words', 'sentence/mask'"):
        examples(prepared(structured.made(dataset=dataset)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"constraints": ("t >= 32",)}, "t=16 of the examples does not satisfy the constraint 't >= 32'"),
        ({"constraints": ("mod(b, 8) == 0",)}, "b=60, the number of examples in the test set, does not satisfy"),
        ({"symbols": {"t": (31,)}}, "symbols has t=31, and the examples have 16"),
        ({"predict": lambda state, data: None}, "predict returns {}, expected an array or a pytree"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_training(changes, text):
    case = prepared(structured.made(**changes))
    with pytest.raises(CaseError, match=text.replace("(", r"\(")):
        check(case, begin(case), examples(case))


def last(case, by):
    """A state that follows a size of the inputs: by="b" the batch, by="t" the length."""

    def follow(params, other, rng, data, labels, train):
        new = data["side"].rows[:, 0] if by == "b" else data["sentence"].words[:, 0]
        return structured.loss(params, other, rng, data, labels, train)[0], {"last": new}

    start = jnp.zeros(2) if by == "b" else jnp.zeros(16, jnp.int32)
    return prepared(structured.made(init=lambda key: (structured.init(key)[0], {"last": start}), loss=follow))


@pytest.mark.parametrize(
    ("by", "shapes"),
    [("b", "float32[2] into float32[3] at b=3,t=16"), ("t", "int32[16] into int32[7] at b=2,t=7")],
)
def test_a_state_that_follows_a_size_is_refused_though_it_fits_at_one(by, shapes):
    case = last(structured.case, by)
    with pytest.raises(CaseError) as raised:
        check(case, begin(case), examples(case))
    assert f"loss turns last of other_state from {shapes}" in str(raised.value)


def test_labels_may_be_absent(subject_of):
    def loss(params, other, rng, data, labels, train):
        assert labels is None
        return jnp.mean(jnp.square(tiny.logits(params, data))), other

    def dataset():
        return Dataset(*(Batch(part.data, None) for part in vars(tiny.dataset()).values()))

    probes = ("predict", "eval_loss", "train_loss", "eval_gradient")
    case = prepared(tiny.case(loss=loss, labels=None, dataset=dataset, accuracy=None, probes=probes))
    found = subject_of(case)
    for probe, runtime in itertools.product(probes, RUNTIMES):
        assert bad(results(found, probe, runtime)) == {}
    assert symbols.names(case) == ()


def windows(constraints, length=24):
    """A case that exports only where a length is known to be 8 at least, and divides it by 4."""

    def predict(state, data):
        rows = data.shape[0]
        part = jax.lax.slice_in_dim(data, 4, 8, axis=1)
        return jnp.tanh(data.reshape(rows, data.shape[1] // 4, 4).mean(1) + part) @ state[0]["w"] + state[0]["bias"]

    def loss(params, other, rng, data, labels, train):
        return jnp.mean((predict((params, other), data) - labels) ** 2), other

    def dataset():
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=(n, length)).astype(np.float32) for n in (80, 40)]
        return Dataset(*(Batch(a, a[:, :3].copy()) for a in arrays))

    return prepared(
        Case(
            "windows", lambda key: ({"w": jax.random.normal(key, (4, 3)), "bias": jnp.zeros(3)}, {}), loss, predict,
            Spec("b", "t"), Spec("b", 3), dataset, training=Training(epochs=2, epochs_after=1, batch_size=16),
            probes=("predict", "eval_loss", "eval_gradient"), constraints=constraints,
        )
    )  # fmt: skip


def test_a_case_exports_by_its_constraints(subject_of):
    case = windows(("mod(t, 4) == 0", "t >= 8"))
    assert [name for name, _ in exported(case)] == ["predict", "loss", "gradient"]
    found = subject_of(case)
    for sizes, probe in itertools.product(({}, {"t": 12}), ("predict", "eval_loss")):
        for runtime in RUNTIMES:
            assert bad(results(found.at(sizes), probe, runtime)) == {}, (sizes, probe, runtime)
    assert symbols.variants(case, found.dataset.test.sizes) == [{"t": 12}]


def test_without_them_it_does_not():
    with pytest.raises(Exception, match="is inconclusive"):
        list(exported(windows(())))


def test_sizes_of_predictions_have_an_order_of_their_own_and_both_parts_of_complex_numbers():
    class Steps(steps.Steps):
        put = compile = call = answer = state = reset = None

    one = {"b": np.array([3 + 4j]), "a": np.ones(2, np.int8)}
    found = Steps().scalars(PREDICT, one)
    assert list(found) == ["predicted a", "predicted b"]
    assert found["predicted b"] == Steps().scalars(PREDICT, {"b": np.array([5.0])})["predicted b"]


def test_a_case_that_is_served_only_needs_no_loss_and_no_gradient(tmp_path):
    out, case = tmp_path / "out", f"{structured.__file__}:served"
    done = samples.inside(
        "run", f"--case={case}", "--level=quick", "--runtime=saved_model", f"--out={out}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = records.read(out)
    assert {check.test for check in run.checks} == {"predict", "state", "artifact"}
    assert any("training" in text and "not trained" in text for text in run.environment["left_out"])
    with pytest.raises(CaseError, match="'structured' has no loss"):
        structured.made(loss=None)


@pytest.mark.exhaustive
def test_the_case_of_the_chapter_is_asked_at_every_size(tmp_path):
    [text] = [
        block.text for block in Document(CHAPTERS["your-model"]).blocks("python") if "class Sentence" in block.text
    ]
    (tmp_path / "sentences.py").write_text(text)
    runtimes = [f"--runtime={name}" for name in ("jax", "jax_float64", "saved_model", "saved_model_fresh")]
    done = samples.inside("run", "--case=sentences.py:case", "--level=quick", *runtimes, "--out=out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = records.read(tmp_path / "out")
    assert {check.variant for check in run.checks if check.probe == "predict"} == {"", "t=8", "t=20"}
    assert {c.runtime for c in run.checks if c.variant == "t=8"} == {option.partition("=")[2] for option in runtimes}
    [check] = [c for c in run.checks if (c.item, c.leaf) == ("test_predict[sentences-saved_model-b13-t=8]", "scores")]
    assert "predict[sentences-saved_model-b13-t=8]" in check.repeat
    assert "t=8" in (tmp_path / "out" / "index.html").read_text()


def test_an_integer_may_differ_where_the_oracle_is_at_a_boundary(subject_of):
    """The value of one element is put a few ulp from where it is rounded the other way."""
    found = subject_of(tiny.tiny)
    value = found.kept("jax", "predict", SIZE)["predict"]["output"][5, 1]
    scale = float((np.floor(value * 2000) + 0.5) / value)

    def predict(state, data):
        scores = tiny.predict(state, data)
        return {"scores": scores, "rounded": jnp.round(scores * scale).astype(jnp.int32)}

    case = tiny.case(predict=predict)
    planted = subject_of(case, trained=dataclasses.replace(found.trained, case=case))
    right = planted.kept("jax", "predict", SIZE)["predict"]

    def statuses(*elements):
        wrong = {**right, "rounded": right["rounded"].copy()}
        for element, by in elements:
            wrong["rounded"][element] += by
        answered = FixedAnswers(planted.runtime("saved_model"), {"predict": wrong})
        return bad(results(planted.with_runtimes({"saved_model": answered}), "predict", "saved_model"))

    other = -1 if right["rounded"][5, 1] > np.floor(value * scale) else 1
    assert statuses() == statuses(((5, 1), other)) == {}
    assert set(statuses(((5, 1), -other))) == {"rounded"}
    assert set(statuses(((5, 1), other), ((6, 1), 1))) == {"rounded"}
