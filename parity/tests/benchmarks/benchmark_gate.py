"""How long `parity gate` takes over two records of 50,000 checks, as a whole process, beside json.load of the two.

`python -m parity.tests.benchmarks.benchmark_gate` exits with 1 where the promise of the README is not kept. Wall
time is the machine's as well: on a busy one look at the processor time, and at the ratio, which both sides share.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from parity import records
from parity.tests.support import gate_runs
from parity.tests.support.samples import planned

CHECKS, LEAVES, ROUNDS = 50_000, 4, 9
MOST_MS, MOST_RATIO = 300, 0.5
CHECK_FIELDS = records.Check.__struct_fields__


def record(count=CHECKS):
    """A run of `count` checks, as long as those of real runs: 43 MB for 50,000."""
    items, checks = [], []
    for number in range(count // LEAVES):
        name = f"test_train_gradient[reference-saved_model_fresh-b13-cpu1-{number}]"
        items.append(planned(item=name, probe="train_gradient", runtime="saved_model_fresh"))
        about = {field: value for field, value in msgspec.structs.asdict(items[-1]).items() if field in CHECK_FIELDS}
        for leaf in range(LEAVES):
            checks.append(records.Check(
                **about, leaf=f"call_1/BatchNorm_{leaf}/bias", status="pass",
                score=1 + number % 700 / 100 + leaf,
                jax_score=0.9581234, limit=64.0, max_abs_diff=1.862645149230957e-09, max_ulp=3, bits_equal=False,
                worst=records.Worst([0, 3, 17], -0.0001234567, -0.0001234565, -0.0001234566),
                repeat=".tox/py311-jax0.9.2-tf2.20.0/bin/python -m pytest --pyargs "
                f"'parity.suites.test_gradient::{name}'",
            ))  # fmt: skip
    return gate_runs.run(plan=items, checks=checks)


def moved(check):
    return msgspec.structs.replace(check, score=check.score * 1.1, max_abs_diff=2e-9)


def spent(command):
    """Wall and processor time of a command, in milliseconds, and its exit code."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * wall, 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), code


def measure(title, old, new):
    """The median ratio of the gate's wall time to json.load's, and its least wall time."""
    gate = [sys.executable, "-m", "parity", "gate", str(old), str(new)]
    load = [
        sys.executable,
        "-c",
        "import json, sys; kept = [json.load(open(f, 'rb')) for f in sys.argv[1:]]",
        *gate[-2:],
    ]
    rounds = [(spent(gate), spent(load)) for _ in range(ROUNDS)]
    assert all(mine[2] == 0 for mine, _ in rounds), "the gate did not say: may upgrade"
    ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in rounds)
    least, cpu = min(mine[0] for mine, _ in rounds), min(mine[1] for mine, _ in rounds)
    print(
        f"{title}: {ratio:.2f} of json.load; {least:.0f} ms at least, "
        f"{statistics.median(mine[0] for mine, _ in rounds):.0f} ms in the median of {ROUNDS}, processor {cpu:.0f} ms"
    )
    return ratio, least


def main():
    with tempfile.TemporaryDirectory() as folder:
        old, same, other = (Path(folder) / f"{name}.json" for name in ("old", "same", "other"))
        made = record()
        old.write_text(records.dumps(made))
        later = msgspec.structs.replace(made, started_at="2026-02-02T00:00:00.000Z")
        same.write_text(records.dumps(later))
        other.write_text(records.dumps(msgspec.structs.replace(later, checks=[moved(check) for check in made.checks])))
        sizes = " and ".join(f"{path.stat().st_size / 1e6:.0f} MB" for path in (old, other))
        print(
            f"{CHECKS:,} checks in each of two records, {sizes}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        found = [measure("all checks equal", old, same), measure("all scores different", old, other)]
    return int(any(least > MOST_MS or ratio > MOST_RATIO for ratio, least in found))


if __name__ == "__main__":
    sys.exit(main())
