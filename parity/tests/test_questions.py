"""Which questions a run asks."""

from parity.examination import NO_DEVICE, Examination, _of_runtime, gpu_pairs
from parity.ledger import Ledger
from parity.selection import Selection
from parity.tests import tiny


def questions(function, **selected):
    known = {"runtimes": ("jax", "tf_graph"), "probes": ("predict", "rng"), "sizes": (1, 13)}
    selection = Selection({"tiny": tiny.tiny}, **{**known, **selected})
    return Examination(selection, "cell", None, Ledger()).questions(function)


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


def test_gpus_are_paired_with_each_other_and_with_the_other_sides_cpu():
    cpus = ["cpu:0", "cpu:1"]
    assert gpu_pairs(cpus, cpus) == []
    assert gpu_pairs([*cpus, "gpu:0", "gpu:1"], cpus) == [("gpu:0", "cpu:0")]
    assert gpu_pairs(cpus, [*cpus, "gpu:0"]) == [("cpu:0", "gpu:0")]
    both = gpu_pairs([*cpus, "gpu:0"], [*cpus, "gpu:0"])
    assert both == [("gpu:0", "gpu:0"), ("gpu:0", "cpu:0"), ("cpu:0", "gpu:0")]
    assert _of_runtime("jax", both) == [("gpu:0", NO_DEVICE), ("cpu:0", NO_DEVICE)]
    assert _of_runtime("tf_graph", both) == both
