"""Seven runtimes answer alike, report where they ran, and fail with a clear error."""

import subprocess
import sys

import jax
import numpy as np
import pytest
import tensorflow as tf
from jax.experimental.compilation_cache import compilation_cache

from parity.cases.case import Dataset
from parity.cases.pipeline import Pipeline
from parity.core.errors import RemedyError, RuntimeFailureError, UsageError
from parity.core.processes import block_jax
from parity.export import artifact
from parity.export import conversion as export
from parity.handover.finetuning import finetuned
from parity.probes import artifact as artifact_probe
from parity.probes import finetuning
from parity.records import FAIL, PASS
from parity.runtimes import exporting
from parity.runtimes._module import _require_device
from parity.runtimes.base import EVALUATION_OF, Request
from parity.runtimes.jax_float64 import JaxFloat64
from parity.runtimes.registry import runtimes
from parity.runtimes.saved_model import SavedModel
from parity.runtimes.saved_model_fresh import SavedModelFresh
from parity.runtimes.tf_graph import Graph
from parity.tests.support import tiny
from parity.tests.support.scores import results, statuses

pytestmark = pytest.mark.slow


@pytest.fixture
def subject(tiny_subject):
    return tiny_subject


@pytest.mark.parametrize("runtime", runtimes())
@pytest.mark.parametrize("device", ["cpu:0", "cpu:1"])
def test_every_runtime_answers_every_probe(subject, runtime, device):
    can = runtimes()[runtime].capabilities
    if device != "cpu:0" and not can.further_devices:
        pytest.skip("answers on its first device alone")
    for probe in tiny.tiny.probes:
        if can.answers(probe, EVALUATION_OF[probe]):
            assert statuses(subject, probe, runtime, device=device) == {PASS}, probe


@pytest.fixture
def compiled_anew(frameworks):
    """Nothing that another process or program has compiled is used."""
    for enabled in (False, True):
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
        if not enabled:
            yield


@pytest.mark.usefixtures("compiled_anew")
def test_the_same_item_three_times_gets_the_same_results(subject, subject_of):
    """From what is compiled already, from the same computed again, and from another training and export."""
    in_process = [name for name, runtime in runtimes().items() if not runtime.capabilities.own_process]
    assert len(in_process) >= 6

    def found(answering):
        return [(p, r, *((x.leaf, x.status, x.score) for x in results(answering, p, r)))
                for p in tiny.tiny.probes for r in in_process
                if runtimes()[r].capabilities.answers(p, EVALUATION_OF[p])]  # fmt: skip

    other = subject_of(tiny.tiny)
    other.batch(13)
    assert found(subject) == found(subject.with_parts(keep_answers=False)) == found(other)


def test_a_process_that_was_ended_is_started_again_when_it_is_asked(subject_of):
    subject = subject_of(tiny.tiny)
    before = results(subject, "predict", "saved_model_fresh")
    first = subject.runtime("saved_model_fresh")
    subject.make_room()
    assert first._process._process.poll() is not None
    again = subject.with_parts(keep_answers=False)
    assert [r.score for r in results(again, "predict", "saved_model_fresh")] == [r.score for r in before]
    again.make_room()


def test_making_room_closes_every_runtime_that_was_opened_here_though_one_raises(subject_of):
    class Raising(Graph):
        def close(self):
            raise OSError("planted")

    subject = subject_of(tiny.tiny)
    subject.batch(13)
    given = Raising(subject.model(subject.bundle, None))
    planted = subject.with_runtimes({"tf_graph": given})
    planted.make_room()
    assert planted.runtime("tf_graph") is given
    subject._runtimes["tf_graph"] = given
    fresh = subject.runtime("saved_model_fresh")
    subject.evaluate("saved_model_fresh", "predict", subject.batch(13))
    with pytest.raises(OSError, match="planted"):
        subject.make_room()
    assert fresh._process._process.poll() is not None
    assert subject.runtime("tf_graph") is not given


def test_an_unknown_device_is_named(subject):
    with pytest.raises(UsageError, match=r"no device cpu:7. Expected one of cpu:0, cpu:1"):
        subject.runtime("tf_graph").evaluate("predict", subject.batch(13), "cpu:7")


def test_running_elsewhere_than_asked_is_an_error():
    with tf.device("CPU:0"):
        answers = {"predict": {"output": tf.constant(1.0)}}
    with pytest.raises(RuntimeFailureError, match="asked to run on cpu:1, and ran on cpu:0"):
        _require_device(answers, "cpu:1")


def test_a_training_call_leaves_no_trace(subject):
    runtime, batch = subject.runtime("saved_model"), subject.batch(13)
    first, second = (runtime.evaluate("train", batch, "cpu:0") for _ in range(2))
    for leaf, value in first["rng"].items():
        np.testing.assert_array_equal(value, second["rng"][leaf])


class Biased(JaxFloat64):
    """An oracle that is wrong by 1e-5, as one would be that is not float64 throughout."""

    def _compute(self, state, evaluation, batch, on):
        answers = super()._compute(state, evaluation, batch, on)
        wrong = {"predict": lambda a: a * (1 + 1e-5)}
        return {p: {leaf: wrong.get(p, lambda a: a)(a) for leaf, a in answer.items()} for p, answer in answers.items()}


def test_an_oracle_that_is_wrong_itself_fails(subject, subject_of):
    """Its budgets are about the wrong oracle, too."""
    oracle = Biased(subject.runtime("jax").model)
    wrong = subject_of(tiny.tiny, trained=subject.trained, runtimes={oracle.name: oracle})
    [found] = results(wrong, "predict", oracle.name)
    assert found.status == FAIL
    assert "spreads from the centre of the ensemble" in found.message


def test_an_oracle_that_differs_between_devices_fails(subject):
    wrong = subject.with_runtimes({"jax_float64": Biased(subject.runtime("jax").model)})
    good = subject.kept("jax_float64", "predict", 13)
    wrong.reference = subject.reference.without((), wrong)  # the right oracle's answers, of the first device
    [found] = results(wrong, "predict", "jax_float64", device="cpu:1")
    assert good["predict"]["output"].dtype == np.float64
    assert found.status == FAIL
    assert "not the one on the first" in found.message


@pytest.mark.parametrize("name", ["hidden/bias", "rng"])
def test_an_evaluation_that_writes_to_a_variable_is_an_error(subject, name):
    class Writing(SavedModel):
        def module(self):
            module = super().module()
            leaves = [s.leaf for s in self.model.signature.state]
            variable = module.rng if name == "rng" else module.state_vars[leaves.index(name)]
            unchanged = module.eval_loss

            def eval_loss(data, labels):
                variable.assign(variable + tf.ones_like(variable))
                return unchanged(data, labels)

            module.eval_loss = eval_loss
            return module

    runtime = Writing(subject.runtime("saved_model").model)
    with pytest.raises(RuntimeFailureError, match=f"evaluate wrote to the variable {name}"):
        runtime.evaluate("evaluate", subject.batch(13), "cpu:0")


def test_jax_is_impossible_in_the_fresh_process():
    probe = (
        "from parity.core.processes import BLOCKED, block_jax\n"
        "import importlib\n"
        "block_jax()\n"
        "for name in (*BLOCKED, 'jax.numpy', 'flax.linen'):\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError:\n"
        "        continue\n"
        "    raise SystemExit(name + ' could be imported')\n"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_a_fresh_process_that_already_has_jax_refuses(frameworks):
    with pytest.raises(RuntimeError, match="jax is already imported"):
        block_jax()


def test_a_killed_process_is_a_crash(subject):
    runtime = SavedModelFresh(subject.runtime("saved_model").model)
    runtime.announce([Request("predict", 13, "cpu:0")])
    runtime._process.kill()
    with pytest.raises(RuntimeFailureError, match="the fresh process ended with code -9") as caught:
        runtime.evaluate("predict", subject.batch(13), "cpu:0")
    assert caught.value.status == "crash"
    runtime.close()


def test_a_request_the_bundle_cannot_serve_is_an_error_and_the_process_lives(subject):
    runtime = SavedModelFresh(subject.runtime("saved_model").model)
    with pytest.raises(RuntimeFailureError, match=r"b7\.npz"):
        runtime.evaluate("predict", subject.batch(7), "cpu:0")
    assert runtime.evaluate("predict", subject.batch(13), "cpu:0")["predict"]["output"].shape == (13, 3)
    runtime.close()


def test_both_exports_are_what_a_server_and_a_trainer_need(subject):
    assert {r.status for r in artifact_probe.results(subject)} == {PASS}


def test_weights_frozen_into_the_program_are_found(subject, tmp_path):
    weights = np.random.default_rng(0).normal(size=(4, 8192)).astype(np.float32)

    def frozen(params, other, data):
        return data @ weights

    module = tf.Module()
    convert = export.convert(frozen, ["...", "...", "(b, ...)"], gradient=False)
    signature = [tf.TensorSpec((None, 4))]
    module.predict = tf.function(lambda x: convert({}, {}, x), autograph=False, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "jax"))
    name, size = "float32[4, 8192]", weights.nbytes
    assert max(known[1] for known in artifact_probe.constants(tmp_path / "jax")) == size
    assert name in artifact_probe.large_constant(tmp_path / "jax")
    assert artifact_probe.large_constant(tmp_path / "jax", {name: "a table"}) is None
    assert "float32[3]" in artifact_probe._unused(tmp_path / "jax", {name: "a table", "float32[3]": "no such"})
    module.predict = tf.function(lambda x: x @ tf.constant(weights), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "tf"))
    assert "expected at most 65,536" in artifact_probe.large_constant(tmp_path / "tf")


def test_an_artifact_without_a_serving_signature_fails(subject, tmp_path):
    tf.saved_model.save(export.Exported(tiny.tiny, subject.trained.state, artifact.graph), str(tmp_path / "bare"))
    everything = artifact.load(subject.bundle / "saved_model")
    found = {r.leaf: r for r in artifact_probe._predictions(subject, everything, artifact.load(tmp_path / "bare"))}
    assert found["inference/serving_default/b13"].status == FAIL
    assert "nothing to call" in found["inference/serving_default/b13"].message


@pytest.fixture(scope="module")
def after(tiny_subject):
    return finetuned(tiny_subject)


def test_training_goes_on_in_tensorflow(subject, after):
    assert {r.leaf: r.status for r in finetuning.results(subject, after)} == dict.fromkeys(
        ("handover_loss", "iterations", "learning_rate", "first_update", "parameters", "training_loss"), PASS
    )


def test_a_schedule_off_by_one_step_is_found(subject, after, monkeypatch):
    monkeypatch.setattr(after, "learning_rate", [after.learning_rate[-1]] * 10)
    assert [r.leaf for r in finetuning.results(subject, after) if r.status == FAIL] == ["learning_rate"]


def test_the_pipeline_repeats_its_order_and_shuffles_every_epoch():
    data = Dataset(tiny.dataset().train, tiny.dataset().test).train
    one, two = Pipeline(data, tiny.tiny.training), Pipeline(data, tiny.tiny.training)
    first, again, next_epoch = ([b.data for b in p.epoch(n)] for p, n in ((one, 0), (two, 0), (one, 1)))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(next_epoch)).any()
    assert {len(batch) for batch in first} == {16}
    assert len(first) == one.steps_per_epoch == 5


def test_where_the_remedy_fails_as_well_the_default_export_stays_and_the_reason_is_kept(subject_of, monkeypatch):
    subject = subject_of(tiny.tiny)
    subject.batch(13)
    write = export.write_bundle

    def refuse(path, case, state, batches, fill, readable_by, **further):
        if readable_by:
            raise RemedyError("jax has moved its exporter")
        return write(path, case, state, batches, fill, readable_by, **further)

    def skewed(*_):
        return [RuntimeFailureError("Cannot deserialize computation")]

    monkeypatch.setattr(export, "write_bundle", refuse)
    monkeypatch.setattr(exporting, "failures", skewed)
    assert (subject.bundle / "saved_model").is_dir()
    assert (subject.remedy, subject.no_remedy) == (None, "no remedy: jax has moved its exporter")
