"""Runs that have something to show in every panel of a report."""

import math

from parity import records, report
from parity.records import Curve, Footprint, Profile
from parity.report import panels
from parity.tests.support import samples

ITEM = {"runtime": "tf_xla", "case": "reference", "probe": "predict"}
NUMBERS = {
    0.0: "0", 1.0: "1.00", 0.9999: "1.00", 12345.6: "12,300", 999_999.0: "1.00e+06", 999.96: "1,000",
    0.00123456: "0.00123", 0.000999999: "0.00100", 0.00099: "9.90e-04",
    1.5e-9: "1.50e-09", -2.0: "-2.00", math.inf: "∞", math.nan: "NaN",
}  # fmt: skip


def check(nth=0, size=13, **changes):
    """One of many distinct checks."""
    item = f"test_predict[reference-tf_xla-b{size}]"
    known = {"item": item, "batch_size": size, "leaf": f"Dense_{nth}/kernel", "limit": 128.0}
    return samples.check(**{**ITEM, **known, "score": 1.0, "jax_score": 0.5, **changes})


def timings():
    jax = [samples.timing(runtime="jax", batch_size=size, median_ns=1e6 * size) for size in (1, 13)]
    ratio = {"ratio": 1.5, "ratio_low": 1.4, "ratio_high": 1.6}
    slow = [samples.timing(batch_size=size, median_ns=1.5e6 * size, **ratio) for size in (1, 13)]
    wide = samples.timing(step="eval", narrow=False, times_ns=[1_000_000] * 9 + [9_000_000], outliers=1)
    return [*jax, *slow, wide]


def profile(**changes):
    known = {"item": check().item, "leaf": check().leaf, "shape": [4, 4], "block": [2, 2], **ITEM, "batch_size": 13}
    spread = {"edges": [0.1, 1.0, 10.0, 100.0], "counts": [8, 6, 2], "jax_counts": [10, 6, 0]}
    return Profile(**{**known, **spread, "map": [[0.5, 0.2], [0.1, 42.0]], **changes})


def run(**changes):
    """A run that has something to show in every panel."""
    curve = Curve("reference", "loss", "JAX", "step", [1.0, 2.0], [3.0, 2.0])
    prints = [
        Footprint("reference", name, 13, 1e9, 2e8, 3e8, 300 << 20, {"python": n})
        for n, name in ((3, "jax"), (4, "tf_xla"))
    ]
    known = {"checks": [check(n, size) for n in range(3) for size in (1, 13)], "curves": [curve], "timings": timings()}
    power = records.Power("reference", "predict", 13, "Dense_0/kernel", 1e-4)
    return samples.run(**{**known, "footprints": prints, "profiles": [profile()], "powers": [power], **changes})


def views(made, judged=None):
    cell = panels.Cell(made, judged, 0, made.all_checks())
    return {name: module.view(cell) for name, module in panels.modules().items()}


def page(made, tmp_path, *judged):
    return report.write([made], tmp_path / "index.html", judged).read_text(encoding="utf-8")
