"""Latency as it is asked for: through pytest-benchmark, of runtimes in processes of their own."""

import json
import os
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from parity import latency, records
from parity.core.errors import RuntimeFailureError
from parity.latency import MIN_ROUNDS, Effort, Group, benchmarking, timed_runtimes, timing
from parity.records import CRASH, FAIL, PASS
from parity.session import collecting
from parity.tests.support import planted_latency, samples
from parity.tests.support.schema import SCHEMA

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]
PLANTED = f"{Path(planted_latency.__file__)}:planted"
QUICK = ("--benchmark-max-time=0.05", "--benchmark-min-rounds=9")
REPLAYING = """
import pytest
from parity.latency import benchmarking
from parity.records import PlanItem, Timing

TIMES = [100_000, 110_000, 90_000, 105_000, 400_000]
NAMES = ("jax", "tf_xla")
ITEMS = [
    PlanItem(item=f"test_latency[c-{r}-predict-b1]", test="latency", case="c", probe="latency", variant="predict",
             runtime=r, batch_size=1, jax_device="cpu:0", tf_device="cpu:0")
    for r in NAMES
]


@pytest.mark.parametrize("planned", [benchmarking.parameter(planned) for planned in ITEMS], ids=NAMES)
def test_replayed(benchmark, request, planned):
    times = [int(ns * (FACTOR if planned.runtime == "jax" else 2)) for ns in TIMES]
    found = Timing("c", planned.runtime, "predict", 1, "cpu:0", 1.0, 1.0, 1.0, times, True, 1, ratio=2.0)
    timed = benchmarking.effort(request.config).timed
    benchmarking.replay(request, lambda: found if timed else None)


def test_of_the_users_own(benchmark):
    assert benchmark(sum, [1, 2]) == 3


def test_that_is_no_benchmark():
    pass
"""


@pytest.fixture(scope="module", autouse=True)
def not_in_a_worker():
    """What is run here is no part of the tests' own xdist, in whose workers pytest-benchmark turns itself off.

    It compiles itself, so that its times include that.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        patch.delenv("JAX_COMPILATION_CACHE_DIR")
        yield


@pytest.fixture
def replayed(pytester):
    """Runs benchmarks that replay, JAX's slower by a factor, beside a user's own: the exit code, and what was said."""

    def start(*options, factor=1):
        pytester.makepyfile(test_replayed=REPLAYING.replace("FACTOR", str(factor)))
        found = pytester.runpytest("-p", "no:cacheprovider", "-p", "parity.session.hooks", *options)
        return int(found.ret), found.stdout.str() + found.stderr.str()

    return start


def test_pytest_benchmark_shows_stores_and_compares_what_was_measured(replayed):
    kept = ("--benchmark-storage=kept", "--benchmark-max-time=0.01")
    code, message = replayed("--benchmark-save=old", "--benchmark-json=all.json", *kept)
    assert code == 0, message
    found = {b["name"]: b for b in json.loads(Path("all.json").read_text())["benchmarks"]}
    jax = found["test_replayed[jax]"]
    assert jax["stats"]["data"] == [1e-4, 1.1e-4, 9e-5, 1.05e-4, 4e-4]
    assert jax["stats"]["median"] == 1.05e-4
    assert (jax["group"], jax["extra_info"]["ratio"]) == ("c: predict, batch size 1, cpu:0", 2.0)
    assert found["test_of_the_users_own"]["stats"]["rounds"] > 5
    assert found["test_of_the_users_own"]["group"] is None
    shown = ("--benchmark-columns=median,rounds", "--benchmark-group-by=group", "--benchmark-disable-gc")
    compared = ("--benchmark-compare", "--benchmark-compare-fail=median:5%", "-k", "replayed[", *shown, *kept)
    code, message = replayed(*compared)
    assert code == 0, message
    assert "'c: predict, batch size 1, cpu:0': 4 tests" in message
    assert "StdDev" not in message
    code, message = replayed(*compared, factor=1.1)
    assert code
    assert "Performance has regressed" in message


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--benchmark-disable", "4 passed"), ("--benchmark-skip", "1 passed, 3 skipped"),
     ("--benchmark-only", "3 passed, 1 skipped")],
)  # fmt: skip
def test_pytest_benchmark_can_be_told_to_leave_out(replayed, option, expected):
    assert expected in replayed(option, "--benchmark-max-time=0.01")[1]


@pytest.mark.parametrize(
    ("options", "changed"),
    [((), {}), (("-p", "no:benchmark"), {}), (("--benchmark-disable", "--benchmark-enable"), {}),
     (("--benchmark-max-time=3", "--benchmark-min-rounds=20"), {"budget_s": 3.0, "min_rounds": 20}),
     (("--benchmark-disable-gc",), {"collect_garbage": False}), (("--benchmark-disable",), {"timed": False}),
     (("--benchmark-precision=0.02",), {"precision": 0.02})],
)  # fmt: skip
def test_its_options_say_how_much_is_measured(pytester, options, changed):
    assert benchmarking.effort(pytester.parseconfig(*options)) == Effort(**changed)


def test_latency_without_pytest_benchmark_says_what_to_install(pytester):
    with pytest.raises(pytest.UsageError, match=r"pip install 'parity\[test\]'"):
        collecting.require_benchmarks(pytester.parseconfig("-p", "no:benchmark"))


@pytest.mark.parametrize(
    "options",
    [("--benchmark-timer=time.time",), ("--benchmark-min-time", "1"), ("--benchmark-warmup",),
     ("-o", "addopts=--benchmark-cprofile=tottime")],
    ids=" ".join,
)  # fmt: skip
def test_an_option_that_cannot_be_obeyed_is_refused_by_name(pytester, monkeypatch, options):
    refused = options[-1].removeprefix("addopts=") if len(options) > 1 and options[0] == "-o" else options[0]
    with pytest.raises(pytest.UsageError, match=f"^{refused}: .*--benchmark-precision"):
        collecting.require_benchmarks(pytester.parseconfig(*options))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-confidence=0.9 --benchmark-max-time=3")
    assert benchmarking.refused(pytester.parseconfig("--benchmark-precision=0.02")) == ["--benchmark-confidence=0.9"]


def pytest_of_the_suites(cwd, *options):
    return samples.pytest_inside("-c", os.devnull, "--rootdir", cwd, "--pyargs", "parity.suites", *options, cwd=cwd)


@pytest.fixture(scope="module")
def planted(tmp_path_factory, frameworks):
    """A case that is another program where JAX is timed, beside its SavedModel in a process without jax."""
    folder = tmp_path_factory.mktemp("latency")
    items = ("--parity-runtime=jax", "--parity-runtime=saved_model_fresh", "--parity-batch-size=13")
    options = ("-m", "latency", f"--parity-case={PLANTED}", *items, *QUICK)
    return pytest_of_the_suites(folder, "--parity-out=out", "--benchmark-json=all.json", *options), folder


def test_every_runtime_is_timed_beside_the_others_and_recorded(planted):
    done, folder = planted
    run = records.read(folder / "out")
    jsonschema.validate(json.loads((folder / "out" / "run.json").read_text()), SCHEMA)
    assert {(t.runtime, t.step) for t in run.timings} == {
        (r, s) for r in ("jax", "saved_model_fresh") for s in latency.STEPS
    }
    for found in run.timings:
        assert len(found.times_ns) >= 9
        assert found.low_ns <= found.median_ns <= found.high_ns
        assert (found.ratio is None) == (found.runtime == "jax")
        assert min(found.first_call_ns, found.transfer_ns, *found.times_ns) > 0
        assert found.load > 0
    stored = {b["param"]: b for b in json.loads((folder / "all.json").read_text())["benchmarks"]}
    [own] = [t for t in run.timings if (t.runtime, t.step) == ("saved_model_fresh", "train_step")]
    shown = stored["planted-saved_model_fresh-train_step-b13"]
    assert [round(s * 1e9) for s in shown["stats"]["data"]] == own.times_ns
    assert shown["extra_info"]["ratio"] == own.ratio
    assert "benchmark 'planted: train_step, batch size 13, cpu:0': 2 tests" in done.stdout


def test_a_step_that_does_nothing_and_one_of_another_program_are_found(planted):
    done, folder = planted
    run = records.read(folder / "out")
    bad = {(c.item, c.leaf) for c in run.checks if c.status != PASS}
    assert bad == {(f"test_latency[planted-saved_model_fresh-{s}-b13]", "same_program") for s in ("predict", "eval")}
    assert done.returncode == 1
    assert "it is another program" in done.stdout
    assert "-m latency" in run.checks[0].repeat
    assert all("--parity-batch-size=13" in check.repeat for check in run.checks)


def test_a_footprint_is_that_of_the_runtimes_own_process(planted):
    run = records.read(planted[1] / "out")
    jax, fresh = (next(f for f in run.footprints if f.runtime == r) for r in ("jax", "saved_model_fresh"))
    assert fresh.peak_memory_bytes > jax.peak_memory_bytes > 50e6
    assert min(f.import_ns + f.load_ns + f.first_call_ns for f in (jax, fresh)) > 1e6
    assert (jax.export_ns, jax.artifact_bytes) == (None, None)
    assert fresh.export_ns > 1e6
    assert fresh.artifact_bytes > 1000
    assert jax.threads["tf_XLAEigen"] == fresh.threads["tf_XLAEigen"] == run.environment["machine"]["cores"]


@pytest.mark.parametrize(
    ("option", "named"), [("-pno:benchmark", "pytest-benchmark"), ("--benchmark-warmup=on", "warmup")]
)
def test_the_first_look_is_left_out_where_it_cannot_be_taken_and_the_record_says_so(
    tmp_path, frameworks, option, named
):
    items = ("--case", PLANTED, "--runtime", "jax", "--batch-size", 13, "-k", "predict and b13", "--out", "out")
    done = samples.inside("run", *items, option, cwd=tmp_path)
    assert done.returncode == 3, done.stdout  # TensorFlow was not asked
    run = records.read(tmp_path / "out")
    assert {item.test for item in run.plan} == {"predict", "accuracy"}
    assert run.timings == []
    assert [note for note in run.environment["left_out"] if named in note]


TINY = f"{Path(samples.__file__).with_name('tiny.py')}:tiny"


@pytest.fixture
def asking(tiny_subject):
    """Asks JAX for groups, of the tiny case by that name."""
    from parity.latency.measuring import Latency

    opened = []

    def ask(*groups, name=TINY):
        runtimes = timed_runtimes()
        jax = runtimes["jax"]
        planned = {group: [jax] for group in groups}
        opened.append(Latency(tiny_subject, name, planned, runtimes, 50, Effort(budget_s=0.02)))
        return opened[-1]

    yield ask
    for found in opened:
        found.close()


@pytest.fixture
def of_tiny(asking):
    group = Group("eval", 50, "cpu:0")
    return asking(group), group


def test_a_batch_larger_than_the_test_set_is_filled_by_repeating_it(of_tiny):
    found, group = of_tiny
    assert {j.leaf: j.status for j in found.results(group, "jax")} == {"same_program": PASS, "rounds": PASS}
    assert found.group(group).measured.rounds >= MIN_ROUNDS


def test_a_process_that_ends_is_a_crash_of_its_runtime(of_tiny):
    found, group = of_tiny
    assert found.footprint("jax", "cpu:0").peak_memory_bytes > 0
    found._workers["jax", "cpu:0"]._process.kill()
    with pytest.raises(RuntimeFailureError, match="the process of jax ended with code -9") as caught:
        found.timing(group, "jax")
    assert caught.value.status == CRASH


@pytest.mark.skipif(sys.platform != "linux", reason="what is asked of glibc, and seen in /proc")
def test_what_a_step_takes_of_memory_is_kept_for_the_next():
    """By the page faults of a process that takes 8 MiB and lets go of them, 50 times."""
    from parity.latency.process import _changes

    code = "import resource\nfor _ in range(50): bytearray(8 << 20)\nprint(resource.getrusage(0).ru_minflt)"
    kept = {name: value for name, value in _changes().items() if name.startswith("MALLOC_")}
    given_back = {**kept, "MALLOC_MMAP_THRESHOLD_": "131072"}
    faults = [int(samples.python("-c", code, env={**os.environ, **env}).stdout) for env in (given_back, kept)]
    assert faults[0] > 50 * 2000 > 20_000 > faults[1]


def test_every_group_begins_where_training_had_arrived(asking):
    train, predict = Group("train_step", 50, "cpu:0"), Group("predict", 50, "cpu:0")
    after, fresh = asking(train, predict), asking(predict)
    first, second = after.group(train).scalars["jax"]
    assert 0 < first["moved"] < second["moved"]
    assert after.group(predict).scalars == fresh.group(predict).scalars


def test_the_first_call_of_a_footprint_includes_compiling(of_tiny):
    found, group = of_tiny
    prepared = found._worker(timed_runtimes()["jax"], group.device).prepare("predict", 50)
    assert found.footprint("jax", "cpu:0").first_call_ns > prepared["compile_ns"] > prepared["first_call_ns"] / 10


def test_a_predict_that_fails_at_the_largest_size_takes_no_other_step_with_it_and_is_not_tried_again(asking):
    predict, smaller = Group("predict", 50, "cpu:0"), Group("predict", 13, "cpu:0")
    found = asking(predict, smaller, name=f"{Path(planted_latency.__file__)}:refusing")
    assert {j.leaf: j.status for j in found.results(smaller, "jax")} == {"same_program": PASS, "rounds": PASS}
    errors = []
    for ask in (lambda: found.timing(predict, "jax"), lambda: found.footprint("jax", "cpu:0")):
        with pytest.raises(RuntimeFailureError, match="too many") as caught:
            ask()
        errors.append(caught.value)
    assert errors[0] is errors[1]


def scalars(workload, step):
    """The scalars of JAX's first two rounds of a step."""
    from parity.latency import in_jax
    from parity.latency.steps import inputs

    steps = in_jax.Steps(workload, "cpu:0")
    placed = steps.put(inputs(step, workload.batch(50)))
    steps.compile(step, placed)
    return [steps.scalars(step, steps.call(step, placed)) for _ in range(2)]


def without_update(found, state, moments, count):
    return {**found, "parameters": state.params, "moments": moments, "step": count}


def without_gradient(found, *_):
    import jax

    return {**found, "gradient": jax.tree_util.tree_map(lambda leaf: leaf * 0, found["gradient"])}


def turned_round(found, *_):
    return found[:, ::-1]


@pytest.mark.parametrize(
    ("step", "plant"),
    [("train_step", without_update), ("train_step", without_gradient), ("forward_backward", without_gradient),
     ("predict", turned_round)],
)  # fmt: skip
def test_a_step_that_lacks_something_is_another_program(of_tiny, monkeypatch, step, plant):
    from parity.latency import in_jax, measuring

    workload, right = of_tiny[0]._written.get(), in_jax.functions
    found = measuring.Found(scalars={"jax": scalars(workload, step), "tf_xla": scalars(workload, step)})

    def judged(batch_size=13):
        return measuring.judge_program(found, "tf_xla", "jax", batch_size).status

    assert judged() == PASS

    def planted(case, steps_per_epoch):
        real = right(case, steps_per_epoch)
        return {**real, step: lambda *point: plant(real[step](*point), *point[:3])}

    monkeypatch.setattr(in_jax, "functions", planted)
    found.scalars["tf_xla"] = scalars(workload, step)
    assert judged(1) == FAIL
    found.scalars["tf_xla"] = []
    assert judged() == FAIL


def test_only_the_gradient_of_one_example_may_be_off_by_more_than_rounding():
    from parity.latency import measuring

    found = measuring.Found(scalars={"jax": [{"gradient": 1.0}], "tf_xla": [{"gradient": 1.01}]})
    assert [measuring.judge_program(found, "tf_xla", "jax", size).status for size in (1, 13)] == [PASS, FAIL]


def test_a_step_that_takes_no_time_by_its_clock_is_an_error(of_tiny, monkeypatch):
    from parity.latency.process import Worker

    found, group = of_tiny
    monkeypatch.setattr(Worker, "time", lambda *_: (0, {"loss": 1.0}))
    with pytest.raises(RuntimeFailureError, match="eval took jax 0 ns"):
        found.timing(group, "jax")


def test_too_few_rounds_are_found():
    from parity.latency import measuring

    few = timing.summarise({"jax": [5, 6, 7]})
    assert measuring.judge_rounds(few, "jax", 8).status == FAIL
    assert "3 rounds were measured, expected at least 8" in measuring.judge_rounds(few, "jax", 8).message
    assert measuring.judge_rounds(few, "jax", 3).status == PASS


@pytest.mark.parametrize(
    ("own", "expected", "status"),
    [
        (np.inf, np.inf, PASS), (np.nan, np.nan, PASS), (np.inf, -np.inf, FAIL), (np.inf, 1.0, FAIL),
        (1.0, np.inf, FAIL), (np.nan, 1.0, FAIL), (1.0, np.nan, FAIL),
    ],
)  # fmt: skip
def test_infinite_losses_are_those_of_one_program_only_if_they_are_the_same(own, expected, status):
    from parity.latency import measuring

    found = measuring.Found(scalars={"tf_xla": [{"loss": own}], "jax": [{"loss": expected}]})
    assert measuring.judge_program(found, "tf_xla", "jax", 13).status == status


def test_masked_predictions_tell_programs_apart_by_what_is_not_masked():
    from parity.latency import steps

    scores = np.float32([[1.0, -np.inf, 2.0], [np.nan, 3.0, 4.0]])
    others = [np.where(scores == 3.0, 3.1, scores), np.where(np.isinf(scores), 0.0, scores), np.nan_to_num(scores)]
    sums = [steps._weighted(array) for array in (scores, *others)]
    assert np.isfinite(sums).all()
    assert len(set(sums)) == 4
