"""A user's own artifact: what of it is compared, what is left out, and what is refused."""

import itertools
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from packaging.version import Version

from parity import records
from parity.cases.artifacts import Artifact
from parity.cases.training import begin
from parity.compat import writer
from parity.compat.readers import limits_of
from parity.core.errors import CaseError, RuntimeFailureError
from parity.core.ledger import TimeLedger
from parity.export import conversion, supplied, user_artifact
from parity.probes import artifact, state
from parity.probes.evaluation import Place, score
from parity.records import IN_ORDER
from parity.report import advice
from parity.runtimes.base import EVALUATIONS
from parity.runtimes.subject import Subject
from parity.tests.support import samples, tiny, user_artifacts

pytestmark = pytest.mark.usefixtures("frameworks")

KERNEL = "hidden/kernel"
OLD = "tensorflow==2.17.1"


@pytest.fixture(scope="module")
def module():
    return user_artifacts.Module()


@pytest.fixture(scope="module")
def right(module, tmp_path_factory):
    return module.save(tmp_path_factory.mktemp("right"))


@pytest.fixture
def subject():
    """The subject of a case with an artifact, closed afterwards."""
    opened = []

    def of(path, **changes):
        opened.append(Subject(user_artifacts.case(artifact=path, **changes), TimeLedger()))
        opened[-1].batch(13)
        return opened[-1]

    yield of
    for each in opened:
        each.close()


@pytest.fixture
def planted(module, tmp_path):
    """The artifact, saved with another value in one variable; the right one is put back afterwards."""
    changed = []

    def save(variable, value):
        changed.append((variable, variable.numpy()))
        variable.assign(value)
        return module.save(tmp_path / "planted")

    yield save
    for variable, value in changed:
        variable.assign(value)


def bad(results):
    return {result.leaf: result.message for result in results if result.status not in IN_ORDER}


def predicted(found):
    return bad(score(found, "predict", Place("saved_model"), 13))


def test_the_right_artifact_is_in_order_whatever_its_variables_are_called(subject, right):
    found = subject(right)
    assert not bad(state.results(found, "saved_model"))
    assert not bad(artifact.results(found))
    assert not predicted(found)
    assert set(found.interface.state) == {KERNEL, "hidden/bias", "output"}


def test_a_wrong_weight_is_named(subject, planted, module):
    wrong = module.weights["hidden"]["kernel"]
    value = wrong.numpy()
    value[2, 3] *= 1.1
    found = subject(planted(wrong, value))
    messages = bad(state.results(found, "saved_model"))
    assert list(messages) == [KERNEL]
    assert "[2, 3]" in messages[KERNEL]
    assert "order" not in messages[KERNEL]
    assert predicted(found)


def test_where_the_weights_of_an_artifact_are_others_a_run_names_them_and_nobody_has_moved(planted, module, tmp_path):
    wrong = module.weights["hidden"]["kernel"]
    planted(wrong, wrong.numpy() * 1.1)
    (tmp_path / "mine.py").write_text(
        "from parity.tests.support import user_artifacts\n\ncase = user_artifacts.case()\n"
    )
    asked = ("--runtime", "saved_model", "--probe", "predict", "--probe", "state", "--batch-size", "13")
    done = samples.inside(
        "run", "--case", "mine.py:case", "--artifact", "planted", "--out", "out", *asked, cwd=tmp_path
    )
    assert done.returncode == 1, done.stdout
    messages = {c.probe: c.message for c in records.read(tmp_path / "out").checks if c.status not in IN_ORDER}
    assert set(messages) == {"predict", "state"}
    assert KERNEL in messages["predict"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "TensorFlow moved" not in done.stdout + page
    [first, *_] = advice.blocking(records.read(tmp_path / "out"))
    assert (first.check.probe, first.check.leaf) == ("state", KERNEL)


def test_a_weight_that_is_a_constant_in_the_graph_is_named_with_the_correction(subject, tmp_path):
    module = user_artifacts.Module()
    module.weights = {**module.weights, "output": tf.constant(user_artifacts.WEIGHTS["output"])}
    messages = bad(state.results(subject(module.save(tmp_path / "partly")), "saved_model"))
    assert list(messages) == ["output"]
    assert "Artifact(state={'output': None})" in messages["output"]


def test_a_permuted_leaf_is_told_apart_from_a_wrong_one(subject, planted, module):
    permuted = module.weights["hidden"]["kernel"]
    messages = bad(state.results(subject(planted(permuted, permuted.numpy()[:, ::-1])), "saved_model"))
    assert list(messages) == [KERNEL]
    assert "order" in messages[KERNEL]


def test_an_output_that_the_artifact_scales_is_seen_where_its_weights_are_right(subject, planted, module):
    found = subject(planted(module.scale, 1.001))
    assert not bad(state.results(found, "saved_model"))
    assert predicted(found)


def test_a_leaf_that_the_case_leaves_out_is_not_compared(subject, planted, module):
    wrong = module.weights["hidden"]["kernel"]
    found = subject(Artifact(planted(wrong, wrong.numpy() + 1), state={KERNEL: None}))
    assert {result.leaf for result in state.results(found, "saved_model")} == {"hidden/bias", "output"}
    assert not found.capabilities("saved_model").any_state


def test_of_weights_that_are_constants_predictions_alone_are_asked(subject, tmp_path):
    constant = user_artifacts.Module(constant=True).save(tmp_path / "constant")
    found = subject(constant)
    can = found.capabilities("saved_model")
    assert can.evaluations == {"predict"}
    assert not any([can.variables, can.any_state, can.gradients, can.carried_state])
    assert found.capabilities("tf_graph").evaluations >= {"predict", "evaluate", "train"}


def test_an_artifact_with_losses_and_a_key_answers_what_training_asks(tmp_path):
    case = user_artifacts.case(probes=("predict", "accuracy", "eval_loss", "eval_gradient", "rng"))
    conversion.save(case, begin(case), tmp_path)
    with closing(Subject(replace(case, artifact=tmp_path / "saved_model"), TimeLedger())) as found:
        found.batch(13)
        assert found.capabilities("saved_model").evaluations == set(EVALUATIONS)
        assert "key" in {result.leaf for result in state.results(found, "saved_model")}
        assert not bad(state.results(found, "saved_model"))
        for probe in case.probes:
            results = score(found, probe, Place("saved_model"), 13)
            assert results
            assert not bad(results), probe


def tf1(path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4])
        tf.compat.v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": 2 * x})


def keras(path):
    path.with_suffix(".keras").write_bytes(b"")
    return path.with_suffix(".keras")


def versions(path):
    for each in ("1", "2"):
        (path / each).mkdir(parents=True)
        (path / each / supplied.GRAPH).write_bytes(b"")


def damaged(path):
    path.mkdir()
    (path / supplied.GRAPH).write_bytes(b"no graph")


WRONG = {
    "absent": lambda path: None,
    "empty": lambda path: path.mkdir(),
    "a file": lambda path: path.touch(),
    "keras": keras,
    "tf1": tf1,
    "versions": versions,
    "damaged": damaged,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_saved_model_is_refused_by_its_path(subject, tmp_path, wrong):
    path = WRONG[wrong](tmp_path / "model") or tmp_path / "model"
    with pytest.raises(CaseError) as refused:
        _ = subject(path).interface
    assert str(path) in str(refused.value)


def test_the_only_version_in_a_folder_of_a_model_server_is_found(subject, right, tmp_path):
    supplied.copy(right, tmp_path / "model" / "1")
    assert subject(tmp_path / "model").exported == tmp_path / "model" / "1"


def test_another_model_and_missing_signatures_are_refused(subject, right, tmp_path):
    with pytest.raises(CaseError, match="scores"):
        _ = subject(right, predict=lambda s, x: tiny.predict(s, x)[:, :2]).interface
    tf.saved_model.save(tf.Module(), str(tmp_path / "nothing"))
    with pytest.raises(CaseError, match="no signature"):
        _ = subject(tmp_path / "nothing").interface


def test_without_a_signature_a_function_is_asked_and_a_server_finds_nothing(subject, module, tmp_path):
    found = subject(module.save(tmp_path / "functions", signature=None))
    assert found.interface.functions["predict"].name == "serve"
    assert list(bad(artifact.results(found))) == ["saved_model/signatures"]


def exported(function, folder, readable_by=None):
    return user_artifact.export(tiny.case(export=function), tiny.init, folder, readable_by)


def test_an_exporter_is_given_the_state_and_a_folder_and_each_export_its_remedy(right, tmp_path):
    given = []

    def export(state, folder):
        given.append((state, folder, Version(writer.describe().stablehlo)))
        supplied.copy(right, folder / "1")

    numbers = itertools.count()
    folders = [exported(export, tmp_path / str(next(numbers)), remedy) for remedy in (None, OLD)]
    assert [folder.parent for folder in folders] == [folder for _, folder, _ in given]
    assert given[0][0] is tiny.init
    assert given[1][2] <= Version(limits_of(OLD).stablehlo) < given[0][2]


def test_an_exporter_that_writes_nothing_or_the_same_folder_twice_is_refused(right, tmp_path):
    first = []

    def export(state, folder):
        first.append(folder)
        supplied.copy(right, first[0] / str(len(first)))

    with pytest.raises(CaseError, match="wrote nothing"):
        exported(lambda state, folder: None, tmp_path / "nothing")
    exported(export, tmp_path / "first")
    with pytest.raises(CaseError, match="wrote nothing"):
        exported(export, tmp_path / "second")


def test_an_exporter_that_writes_several_or_what_is_no_model_is_refused(right, tmp_path):
    def several(state, folder):
        supplied.copy(right, folder / "a")
        supplied.copy(right, folder / "b")

    with pytest.raises(CaseError, match="a, b"):
        exported(several, tmp_path / "several")
    with pytest.raises(CaseError, match=supplied.GRAPH):
        exported(lambda state, folder: (folder / "weights.npz").touch(), tmp_path / "weights")


def test_an_exporter_that_raises_is_a_failure_with_its_cause(tmp_path):
    def export(state, folder):
        raise ValueError("no room on the shelf")

    with pytest.raises(RuntimeFailureError, match="no room on the shelf"):
        exported(export, tmp_path / "raises")


def test_what_was_made_elsewhere_cannot_be_exported_under_a_remedy(right, tmp_path):
    with pytest.raises(CaseError, match="readable_by"):
        user_artifact.export(user_artifacts.case(artifact=right), None, tmp_path / "new", OLD)


def test_a_trained_case_is_exported_by_its_exporter_after_training(tmp_path):
    def export(found, folder):
        module = user_artifacts.Module()
        tf.nest.map_structure(lambda variable, value: variable.assign(value), module.weights, dict(found.params))
        module.save(folder)

    case = tiny.case(export=export, training=tiny.Training(epochs=1, batch_size=16))
    with closing(Subject(case, TimeLedger())) as found:
        found.batch(13)
        assert not bad(state.results(found, "saved_model"))
        assert not np.array_equal(found.trained.state.params["output"], user_artifacts.WEIGHTS["output"])


def test_bytes_and_texts_are_compared_in_a_run_and_the_mapping_is_shown(tmp_path):
    user_artifacts.save_texts(tmp_path / "made")
    (tmp_path / "texts.py").write_text("from parity.tests.support.user_artifacts import texts as case\n")
    done = samples.inside(
        "run", "--case", "texts.py:case", "--artifact", "made", "--out", "out", "--batch-size", "13", "--runtime",
        "saved_model", "--runtime", "saved_model_fresh", "--probe", "predict", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = records.read(tmp_path / "out")
    checks = [check for check in found.checks if check.test == "predict" and check.runtime.startswith("saved")]
    assert {check.leaf for check in checks} == {"scores", "labels"}
    assert {check.runtime for check in checks} == {"saved_model", "saved_model_fresh"}
    assert found.environment["artifacts"]["texts"]["predict"].startswith("serving_default(png=data/png)")
    assert any("state" in line and line.startswith("texts: ") for line in found.environment["left_out"])
    assert "serving_default" in done.stdout
    assert "serving_default" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
