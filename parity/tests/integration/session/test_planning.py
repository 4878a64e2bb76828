"""What a run plans: which items, of which runtimes, at which batch sizes and devices."""

import dataclasses
from collections import Counter

import pytest

from parity import latency
from parity.cases.case import BATCH_SIZES, PROBES, TEST_SET
from parity.cases.loading import load
from parity.core.errors import RuntimeFailureError, UsageError
from parity.export.interface import Call, Interface
from parity.probes.declaration import Probe, every_runtime
from parity.probes.registry import probes
from parity.probes.seeded_defects import defects
from parity.records import FULL, LEVELS, NO_DEVICE, QUICK, STANDARD
from parity.records.levels import includes
from parity.records.measures import BATCH_SIZES as TIMED_SIZES
from parity.runtimes.registry import runtimes
from parity.session.planning import Planner, gpu_pairs, require_known
from parity.session.selection import Selection
from parity.tests.support import field_cases, tiny

pytestmark = pytest.mark.usefixtures("frameworks")


def planner(case=tiny.tiny, gpus=(), **selected):
    """The planner of a run about one case; by default of two runtimes at two batch sizes."""
    known = {"runtimes": ("jax", "tf_graph"), "probes": ("predict", "rng"), "sizes": (1, 13), **selected}
    known["runtimes"] = tuple(runtimes()[name] for name in known["runtimes"])
    return Planner(Selection({case.name: case}, **known), list(gpus), lambda case: 40)


def plan(probe, gpus=(), **selected):
    """The plan items of a probe about the tiny case."""
    return planner(gpus=gpus, **selected).items(probes()[probe])


def test_ids_read_case_runtime_batch_size_and_another_device():
    assert [item.item for item in plan("predict")] == [
        "test_predict[tiny-jax-b1]",
        "test_predict[tiny-jax-b13]",
        "test_predict[tiny-jax-b13-cpu1]",
        "test_predict[tiny-tf_graph-b1]",
        "test_predict[tiny-tf_graph-b13]",
        "test_predict[tiny-tf_graph-b13-cpu1]",
    ]


def test_only_some_probes_are_planned_on_another_device():
    assert {(item.jax_device, item.tf_device) for item in plan("rng")} == {("cpu:0", "none"), ("cpu:0", "cpu:0")}


def test_what_is_not_selected_or_does_not_apply_is_not_planned():
    assert not plan("predict", probes=("rng",))
    assert not plan("batch_stats", probes=("batch_stats",))
    assert not plan("artifact", probes=("predict",))


EXPORTING = tiny.case(export=lambda state, folder: None)
"""A case whose artifact is its user's own."""


def of_own_artifact(interface):
    """By probe, the runtimes that are asked about a case whose artifact is its user's own; and what is left out."""
    names = ("tf_graph", "saved_model", "saved_model_fresh")
    planning = planner(EXPORTING, runtimes=names, probes=(), sizes=(13,))
    planning.interface = interface
    asked = {name: planning.items(probe) for name, probe in probes().items()}
    return {name: {item.runtime for item in items} for name, items in asked.items()}, planning.left_out


def test_of_a_users_artifact_what_it_cannot_answer_is_left_out_by_name():
    predicts = Interface({"predict": Call("serving_default", {"x": "data/data"}, {"output": "y"})})
    asked, left_out = of_own_artifact(lambda name: predicts)
    assert asked["predict"] == {"tf_graph", "saved_model", "saved_model_fresh"}
    assert asked["eval_gradient"] == {"tf_graph"}
    [text] = [text for name, text in left_out.items() if name == "artifact of tiny"]
    gone = ("eval_loss", "eval_gradient", "train_loss", "rng", "state", "finetuning", "trajectory", "resumption")
    for name in gone:
        assert name in text
        assert not asked[name] & {"saved_model", "saved_model_fresh"}


def test_where_a_users_artifact_cannot_be_loaded_everything_is_planned_and_fails_in_its_test():
    def fails(name):
        raise RuntimeFailureError("TensorFlow cannot load it")

    asked, _ = of_own_artifact(fails)
    assert asked["eval_gradient"] == {"tf_graph", "saved_model", "saved_model_fresh"}


def test_relations_and_defects_are_planned_by_variant_and_runtime_at_the_smallest_batch_size_with_several_rows():
    items = plan("relations", probes=("relations",), sizes=(1, 20, 13))
    assert {item.batch_size for item in items} == {13}
    assert [item.item for item in items][:3] == [
        "test_relations[tiny-split_batch-jax]",
        "test_relations[tiny-split_batch-tf_graph]",
        "test_relations[tiny-permuted_rows-jax]",
    ]
    assert {(item.runtime, item.tf_device) for item in items} == {("jax", "none"), ("tf_graph", "cpu:0")}
    assert "test_seeded_defects[tiny-moved_weight-tf_graph]" in {
        item.item for item in plan("seeded_defects", probes=("seeded_defects",), sizes=(1,))
    }
    assert not plan("seeded_defects", probes=("relations",))


@pytest.mark.parametrize(("sizes", "batch_size", "expected"), [
    ((1, 13, 20), 64, 13), ((1, 13), 5, 5), ((1,), 64, 64), ((TEST_SET,), 64, 64),
])  # fmt: skip
def test_the_first_steps_take_the_fewest_examples_that_are_several(sizes, batch_size, expected):
    case = tiny.case(training=dataclasses.replace(tiny.tiny.training, batch_size=batch_size))
    items = planner(case, sizes=sizes, runtimes=("saved_model",), probes=("first_steps",)).items(
        probes()["first_steps"]
    )
    assert {item.batch_size for item in items} == {expected}


def test_gpus_are_paired_with_each_other_and_with_the_other_sides_cpu():
    cpus = ["cpu:0", "cpu:1"]
    assert gpu_pairs(cpus, cpus) == []
    assert gpu_pairs([*cpus, "gpu:0", "gpu:1"], cpus) == [("gpu:0", "cpu:0")]
    assert gpu_pairs(cpus, [*cpus, "gpu:0"]) == [("cpu:0", "gpu:0")]
    both = gpu_pairs([*cpus, "gpu:0"], [*cpus, "gpu:0"])
    assert both == [("gpu:0", "gpu:0"), ("gpu:0", "cpu:0"), ("cpu:0", "gpu:0")]
    found = {(item.runtime, item.jax_device, item.tf_device) for item in plan("predict", both) if "gpu" in item.item}
    assert found == {("jax", "gpu:0", NO_DEVICE), *(("tf_graph", *pair) for pair in both)}
    assert not [item for item in plan("rng", both) if "gpu" in item.item]


def test_latency_is_planned_for_every_step_at_its_own_default_sizes_beside_the_footprint_at_the_largest():
    items = plan("latency", probes=("latency",), default_sizes=True)
    assert [item.item for item in items][:3] == [
        "test_latency[tiny-jax-predict-b1]",
        "test_latency[tiny-tf_graph-predict-b1]",
        "test_latency[tiny-jax-eval-b1]",
    ]
    assert len(items) == 2 * len(latency.STEPS) * len(TIMED_SIZES)
    assert (items[-1].variant, items[-1].batch_size, items[-1].tf_device) == ("train_step", 1024, "cpu:0")
    [jax, graph] = plan("footprint", probes=("latency",), default_sizes=True)
    assert (jax.item, jax.probe, jax.batch_size) == ("test_footprint[tiny-jax]", "latency", 1024)
    assert (graph.jax_device, graph.tf_device) == ("cpu:0", "cpu:0")


def test_latency_takes_selected_sizes_and_no_step_that_the_case_has_no_probe_for():
    items = plan("latency", probes=("latency",), sizes=(TEST_SET, 7), runtimes=("jax", "tf_eager"))
    assert {item.batch_size for item in items} == {40, 7}
    assert {item.runtime for item in items} == {"jax"}
    assert not plan("latency", probes=("predict",))
    assert not plan("footprint", probes=("latency",), runtimes=("tf_eager",))


def test_default_sizes_that_the_test_set_cannot_fill_are_left_out_and_others_are_not():
    assert default_sizes(FULL, 40) == ({1, 13, 20, TEST_SET}, {"tiny"})
    assert default_sizes(STANDARD, 40) == ({1, 13}, {"tiny"})
    assert default_sizes(QUICK, 40) == ({13}, set())
    assert {item.batch_size for item in plan("rng", sizes=(1, 256))} == {1, 256}


@pytest.mark.parametrize("level", LEVELS)
def test_a_test_set_smaller_than_the_size_of_every_level_is_asked_whole(level):
    sizes, left_out = default_sizes(level, 5)
    assert sizes == ({TEST_SET} if level == QUICK else {1, TEST_SET})
    assert left_out == {"tiny"}


def default_sizes(level, examples):
    """The default batch sizes of a test set, and the names of what is left out."""
    selection = Selection({"tiny": tiny.tiny}, (runtimes()["jax"],), ("rng",), (), default_sizes=True, level=level)
    planner = Planner(selection, [], lambda case: examples)
    return {item.batch_size for item in planner.items(probes()["rng"])}, set(planner.left_out)


def test_a_probe_that_is_declared_elsewhere_is_known_by_its_name_and_no_other():
    own = Probe(name="mine", plan=every_runtime, evaluation="predict")
    require_known(("mine", "predict", "latency"), {"mine": own})
    for name in ("mine", "footprint", "moved_weight"):
        with pytest.raises(UsageError):
            require_known((name,), {})


def classes(state, data):
    return tiny.predict(state, data).argmax(-1)


def with_integers(state, data):
    return {"scores": tiny.predict(state, data), "classes": classes(state, data)}


ALL = ("jax", "jax_float64", "tf_graph", "saved_model")


def planned_defects(case):
    made = planner(case, runtimes=ALL, probes=(), sizes=(13,))
    return {item.variant for item in made.items(probes()["seeded_defects"])}, made.left_out


def test_an_answer_of_integers_alone_has_neither_power_nor_defects_that_need_a_float_and_the_plan_says_so():
    case = tiny.case(predict=classes, probes=("predict", "accuracy"))
    made = planner(case, runtimes=ALL, probes=("predict", "accuracy"), sizes=(13,))
    assert {item.probe for item in made.items(probes()["power"])} == {"accuracy"}
    assert len(made.items(probes()["predict"])) == 2 * len(ALL)
    assert set(made.left_out) == {"power of tiny"}
    found, left_out = planned_defects(case)
    assert found == {"dropped_leaf", "empty_answer", "last_element"}
    assert set(left_out) == {"seeded_defects of tiny"}


def test_one_float_beside_integers_keeps_power_and_every_defect():
    for changes in ({"predict": with_integers, "probes": ("predict",)}, {"predict": classes}):
        case = tiny.case(**changes)
        assert planned_defects(case) == (set(defects()), {})
    made = planner(tiny.case(predict=with_integers), runtimes=ALL)
    assert {item.probe for item in made.items(probes()["power"])} == {"predict", "rng"}


def test_statistics_without_a_float_have_no_power():
    case = load(f"{field_cases.__file__}:typed_key")
    made = planner(case, runtimes=ALL, probes=(), sizes=(13,))
    assert {item.probe for item in made.items(probes()["power"])} == {*field_cases.PROBES}
    assert set(made.left_out) == {"power of typed_key"}


def test_a_case_that_cannot_be_used_keeps_its_plan():
    def refused(state, data):
        raise ValueError("for no input")

    made = planner(tiny.case(predict=refused), runtimes=ALL)
    assert {item.probe for item in made.items(probes()["power"])} == {"predict", "rng"}
    assert made.left_out == {}


def test_without_the_oracle_the_plan_says_that_power_is_left_out():
    made = planner()
    assert made.items(probes()["power"]) == []
    assert "jax_float64" in made.left_out["power"]
    assert not planner(runtimes=ALL).left_out
    without = planner(probes=("artifact",))
    assert (without.items(probes()["power"]), without.left_out) == ([], {})


EVERY_SIZE = "jax:5 jax_float64:5 tf_eager:5 tf_graph:5 tf_xla:5 saved_model:5 saved_model_fresh:5"
AND_DEVICE = "jax:7 jax_float64:7 tf_eager:7 tf_graph:7 tf_xla:7 saved_model:7 saved_model_fresh:7"
OF_THE_REFERENCE_CASE = {
    "predict": AND_DEVICE,
    "accuracy": EVERY_SIZE,
    "eval_loss": EVERY_SIZE,
    "eval_gradient": EVERY_SIZE,
    "train_loss": EVERY_SIZE,
    "train_gradient": AND_DEVICE,
    "batch_stats": EVERY_SIZE,
    "rng": EVERY_SIZE,
    "power": "jax_float64:40",
    "relations": "jax:3 tf_eager:3 tf_graph:4 tf_xla:4 saved_model:5",
    "seeded_defects": "jax:1 jax_float64:1 tf_eager:1 tf_graph:1 tf_xla:1 saved_model:9",
    "training": "jax:1",
    "artifact": "saved_model:1",
    "state": "tf_eager:1 tf_graph:1 tf_xla:1 saved_model:1 saved_model_fresh:1",
    "finetuning": "saved_model:1",
    "fusion": "saved_model:1",
    "first_steps": "saved_model:2",
    "trajectory": "saved_model:4",
    "resumption": "saved_model_fresh:1",
    "optimizers": "saved_model:11",
    "operations": "tf_graph:19",
}
"""By test, how many items of each runtime a run of the reference case has where there is no GPU."""


AT_STANDARD = {
    **{probe: EVERY_SIZE.replace(":5", ":3") for probe in PROBES},
    "power": "jax_float64:24",
    "relations": OF_THE_REFERENCE_CASE["relations"],
    "seeded_defects": OF_THE_REFERENCE_CASE["seeded_defects"],
    "training": "jax:1",
    "artifact": "saved_model:1",
    "state": OF_THE_REFERENCE_CASE["state"],
    "first_steps": "saved_model:2",
    "operations": "tf_graph:19",
    "latency": "jax:2 saved_model:2",
}
AT_QUICK = {
    **dict.fromkeys(PROBES, "jax:1 jax_float64:1 saved_model:1"),
    "training": "jax:1",
    "artifact": "saved_model:1",
    "state": "saved_model:1",
}


def of_level(level, **selected):
    """The planner of a run of the reference case at a level, and its items."""
    selection = Selection({"reference": load("reference")}, tuple(runtimes().values()), (), BATCH_SIZES, True, level)
    made = Planner(dataclasses.replace(selection, **selected), [], lambda case: 1000)
    return made, [item for probe in probes().values() if probe.mark != "long" for item in made.items(probe)]


def by_test(items):
    """How many items of each runtime there are, by test."""
    found = {}
    for (test, runtime), number in Counter((item.test, item.runtime) for item in items).items():
        found.setdefault(test, {})[runtime] = number
    return found


def table(expected):
    """The same from a table above."""
    return {
        test: {name: int(number) for name, number in (pair.split(":") for pair in listed.split())}
        for test, listed in expected.items()
    }


@pytest.mark.parametrize(("level", "expected"), [(STANDARD, AT_STANDARD), (QUICK, AT_QUICK)])
def test_the_levels_of_the_reference_case_have_these_items(level, expected, frameworks):
    made, items = of_level(level)
    assert by_test(items) == table(expected)
    assert {includes(level, item.level) for item in items} == {True}
    left_out = {"fusion", "resumption", "trajectory", "finetuning", "optimizers", TEST_SET, 20}
    quick = {"power", "relations", "seeded_defects", "latency", "operations", "first_steps", "further runtimes", 1, 256}
    beyond = quick if level == QUICK else {"most of latency"}
    assert set(made.above) == left_out | beyond | {"further devices"} | {"footprint"}
    assert "\n" not in made.left_out_by_level()
    assert all(str(what) in made.left_out_by_level() for what in made.above if what != TEST_SET)


def test_each_level_has_everything_of_the_one_below_and_full_leaves_out_nothing(frameworks):
    quick, standard, full = ({item.item: item for item in of_level(level)[1]} for level in LEVELS)
    assert quick.items() < standard.items() < full.items()
    assert Counter(item.level for item in full.values()) == {
        QUICK: len(quick),
        STANDARD: len(standard) - len(quick),
        FULL: len(full) - len(standard),
    }
    assert of_level(FULL)[0].left_out_by_level() == ""


def test_what_options_name_is_planned_at_every_level(frameworks):
    for selected, test, more in (
        ({"probes": ("fusion",), "named": frozenset(["fusion"])}, "fusion", {"saved_model": 1}),
        ({"named": frozenset(["latency"])}, "footprint", {"jax": 1, "saved_model": 1}),
        ({"sizes": (20,), "default_sizes": False}, "rng", {"jax": 1, "jax_float64": 1, "saved_model": 1}),
        ({"given_runtimes": True, "runtimes": (runtimes()["tf_xla"],)}, "rng", {"tf_xla": 1}),
    ):
        found = by_test(of_level(QUICK, **selected)[1])[test]
        assert more.items() <= found.items(), (selected, found)


@pytest.fixture(scope="module")
def reference_plan(frameworks):
    """The plan of a run without options: of the reference case, without what has a mark."""
    return [item for item in of_level(FULL)[1] if item.probe != "latency"]


def test_the_plan_of_the_reference_case_has_these_items(reference_plan):
    assert by_test(reference_plan) == table(OF_THE_REFERENCE_CASE)
    assert len({item.item for item in reference_plan}) == len(reference_plan) == 427


def test_the_plan_of_the_reference_case_has_these_sizes_and_devices(reference_plan):
    sizes = Counter(item.batch_size for item in reference_plan)
    assert sizes == {13: 113, 256: 94, TEST_SET: 73, 1: 64, 20: 64, 6: 19}
    assert Counter((item.jax_device, item.tf_device) for item in reference_plan) == {
        ("cpu:0", "cpu:0"): 273, ("cpu:0", "none"): 126, ("cpu:1", "cpu:1"): 20, ("cpu:1", "none"): 8,
    }  # fmt: skip


def test_every_probe_with_a_mark_is_left_out_of_that_plan_and_no_other(reference_plan):
    marked = {probe.name for probe in probes().values() if probe.mark}
    assert marked == {"latency", "footprint", "long_handover"}
    assert {item.test for item in reference_plan} == set(probes()) - marked
