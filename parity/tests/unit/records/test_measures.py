"""What the atlas keeps of latencies and footprints."""

import json
import math

from parity import latency, records
from parity.records import cells, measures
from parity.tests.support import samples


def timed(step, runtime, size, ratio=None, **changes):
    ends = {} if ratio is None else {"ratio": ratio, "ratio_low": 0.9 * ratio, "ratio_high": 1.1 * ratio}
    return samples.timing(step=step, runtime=runtime, batch_size=size, median_ns=size * 1e3 + 0.4, **ends, **changes)


def row_of(**changes):
    return json.loads(json.dumps(records.encode(cells.row(samples.run(**changes))), allow_nan=False))


def test_the_steps_are_those_that_are_measured():
    assert set(measures.STEPS) <= set(latency.STEPS)


def test_of_a_run_that_measured_nothing_there_is_nothing():
    found = row_of()
    assert (found["footprints"], found["latency"]) == ({}, None)


def test_a_footprint_is_kept_by_runtime_in_whole_numbers():
    found = row_of(footprints=[
        samples.footprint(load_ns=1.6e9 + 0.5), samples.footprint(runtime="jax", export_ns=None, artifact_bytes=None),
        samples.footprint(case="another", peak_memory_bytes=1),
    ])["footprints"]  # fmt: skip
    assert found["tf_xla"] == {
        "peak_memory_bytes": 800_000_000, "load_ns": 1_600_000_000, "first_call_ns": 500_000_000,
        "import_ns": 2_000_000_000, "export_ns": 3_000_000_000, "artifact_bytes": 170_000,
    }  # fmt: skip
    assert (found["jax"]["export_ns"], found["jax"]["artifact_bytes"]) == (None, None)


def test_latency_is_that_at_the_largest_batch_size_of_all():
    sizes = {("predict", "jax"): (13, 256, 1024), ("predict", "tf_xla"): (13, 256), ("train_step", "jax"): (13, 256)}
    timings = [
        timed(step, runtime, size, ratio=None if runtime == "jax" else 1.234567)
        for (step, runtime), measured in sizes.items()
        for size in measured
    ]
    ignored = [
        timed("eval", "jax", 1),
        timed("predict", "jax", 1, case="another"),
        timed("predict", "jax", 1, device="g"),
    ]
    assert row_of(timings=[*timings, *ignored])["latency"] == {
        "batch_size": 256,
        "ratios": {"predict": {"tf_xla": [1.235, 1.111, 1.358]}},
        "median_ns": {"predict": {"jax": 256_000, "tf_xla": 256_000}, "train_step": {"jax": 256_000}},
    }


def test_latency_without_a_common_batch_size_or_a_finite_median():
    assert row_of(timings=[timed("predict", "jax", 1), timed("predict", "tf_xla", 13)])["latency"] is None
    assert row_of(timings=[timed("eval", "jax", 1)])["latency"] is None
    [odd] = row_of(timings=[samples.timing(median_ns=math.nan, ratio=math.inf)])["latency"]["ratios"].values()
    assert odd == {"tf_xla": [None, None, None]}
