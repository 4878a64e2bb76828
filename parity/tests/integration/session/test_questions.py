"""Which questions a run asks."""

from parity import latency
from parity.cases.case import TEST_SET
from parity.core.ledger import Ledger
from parity.records import NO_DEVICE
from parity.session.examination import Examination
from parity.session.questions import _of_runtime, gpu_pairs
from parity.session.selection import Selection
from parity.tests.support import tiny


def questions(function, **selected):
    known = {"runtimes": ("jax", "tf_graph"), "probes": ("predict", "rng"), "sizes": (1, 13)}
    selection = Selection({"tiny": tiny.tiny}, **{**known, **selected})
    return Examination(selection, "cell", None, Ledger()).asked.of(function)


def test_ids_read_case_runtime_batch_size_and_another_device(frameworks):
    assert [q.item for q in questions("test_predict")] == [
        "test_predict[tiny-jax-b1]",
        "test_predict[tiny-jax-b13]",
        "test_predict[tiny-jax-b13-cpu1]",
        "test_predict[tiny-tf_graph-b1]",
        "test_predict[tiny-tf_graph-b13]",
        "test_predict[tiny-tf_graph-b13-cpu1]",
    ]


def test_only_some_probes_are_asked_on_another_device(frameworks):
    assert {(q.jax_device, q.tf_device) for q in questions("test_rng")} == {("cpu:0", "none"), ("cpu:0", "cpu:0")}


def test_what_is_not_selected_or_does_not_apply_is_not_asked(frameworks):
    assert not questions("test_predict", probes=("rng",))
    assert not questions("test_batch_stats", probes=("batch_stats",))
    assert not questions("test_artifact", probes=("predict",))


def test_relations_and_canaries_are_asked_by_name_and_runtime_of_the_smallest_batch_with_rows_to_tell_apart(frameworks):
    asked = questions("test_relations", probes=("relations",), sizes=(1, 20, 13))
    assert {q.batch_size for q in asked} == {13}
    assert [q.item for q in asked][:3] == [
        "test_relations[tiny-split_batch-jax]",
        "test_relations[tiny-split_batch-tf_graph]",
        "test_relations[tiny-permuted_rows-jax]",
    ]
    assert {(q.runtime, q.tf_device) for q in asked} == {("jax", "none"), ("tf_graph", "cpu:0")}
    assert "test_canaries[tiny-moved_weight-tf_graph]" in {
        q.item for q in questions("test_canaries", probes=("canaries",), sizes=(1,))
    }
    assert not questions("test_canaries", probes=("relations",))


def test_gpus_are_paired_with_each_other_and_with_the_other_sides_cpu():
    cpus = ["cpu:0", "cpu:1"]
    assert gpu_pairs(cpus, cpus) == []
    assert gpu_pairs([*cpus, "gpu:0", "gpu:1"], cpus) == [("gpu:0", "cpu:0")]
    assert gpu_pairs(cpus, [*cpus, "gpu:0"]) == [("cpu:0", "gpu:0")]
    both = gpu_pairs([*cpus, "gpu:0"], [*cpus, "gpu:0"])
    assert both == [("gpu:0", "gpu:0"), ("gpu:0", "cpu:0"), ("cpu:0", "gpu:0")]
    assert _of_runtime("jax", both) == [("gpu:0", NO_DEVICE), ("cpu:0", NO_DEVICE)]
    assert _of_runtime("tf_graph", both) == both


def test_latency_is_asked_of_every_step_at_its_own_default_sizes_beside_the_footprint_at_the_largest(frameworks):
    asked = questions("test_latency", probes=("latency",), default_sizes=True)
    assert [q.item for q in asked][:3] == [
        "test_latency[tiny-jax-predict-b1]",
        "test_latency[tiny-tf_graph-predict-b1]",
        "test_latency[tiny-jax-eval-b1]",
    ]
    assert len(asked) == 2 * len(latency.STEPS) * len(latency.BATCH_SIZES)
    assert [latency.Group.of(q) for q in asked][-1] == ("train_step", 1024, "cpu:0")
    [jax, graph] = questions("test_footprint", probes=("latency",), default_sizes=True)
    assert (jax.item, jax.probe, jax.batch_size) == ("test_footprint[tiny-jax]", "latency", 1024)
    assert (graph.jax_device, graph.tf_device) == ("cpu:0", "cpu:0")


def test_latency_takes_selected_sizes_and_no_step_that_the_case_has_no_probe_for(frameworks):
    asked = questions("test_latency", probes=("latency",), sizes=(TEST_SET, 7), runtimes=("jax", "tf_eager"))
    assert {q.batch_size for q in asked} == {40, 7}
    assert {q.runtime for q in asked} == {"jax"}
    assert not questions("test_latency", probes=("predict",))
    assert not questions("test_footprint", probes=("latency",), runtimes=("tf_eager",))
