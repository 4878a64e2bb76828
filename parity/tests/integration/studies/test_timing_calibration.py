"""The study of latency counts what holds and says what does not, and what it plants is really there."""

import itertools
import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from parity.core.errors import RecordError
from parity.records import published
from parity.records import timing_calibration as promises
from parity.records.timing_calibration import SLOWDOWN, TRIALS, Series, Study, Trial
from parity.studies.timing import measuring
from parity.tests.support import samples, tiny

pytestmark = pytest.mark.slow

SAME, FOUND = Trial(1.0, 0.97, 1.03, 16, 1.0), Trial(1.1, 1.06, 1.14, 16, 1.1)


def series(loaded=False, slowdown=1.0, odd=(), number=TRIALS, median_ns=4e6):
    """Trials that hold but for the odd ones."""
    usual = SAME if slowdown == 1 else FOUND
    return Series("jax", "predict", 13, loaded, slowdown, median_ns, [*odd, *[usual] * (number - len(odd))])


def study(*changed):
    """A study that keeps every promise, but for the series that are changed."""
    every = {(s.loaded, s.slowdown): s for s in map(series, (False, True) * 2, (1.0, 1.0, SLOWDOWN, SLOWDOWN))}
    every |= {(s.loaded, s.slowdown): s for s in changed}
    loads = {"as it was": [0.1, 0.5], "loaded": [0.5, 1.0]}
    return Study(
        1, promises.COMMAND, "2026-01-02T03:04:05.678Z", 900.0, {"jax": "0.10.2"}, {"cores": 2}, loads, 0.99, 0.045,
        12.0, promises.PLAIN, list(every.values()),
    )  # fmt: skip


NEIGHBOUR, WIDE = Trial(1.05, 1.01, 1.09, 16, 1.06), Trial(1.0, 0.949, 1.051, 16, 1.0)
MISSED = Trial(1.05, 1.0, 1.1, 16, 1.04)


def test_a_study_that_holds_breaks_nothing():
    assert list(promises.broken(study())) == []
    assert list(promises.broken(study(series(odd=[NEIGHBOUR] * 5), series(True, SLOWDOWN, odd=[MISSED] * 5)))) == []


@pytest.mark.parametrize(
    ("changed", "output"),
    [
        (
            series(odd=[NEIGHBOUR] * 6),
            "The interval contains 1 in 94 of 100 trials on the machine as it was, expected 95%.",
        ),
        (series(True, odd=[NEIGHBOUR] * 6), "The interval contains 1 in 94 of 100 trials beside a busy process"),
        (series(slowdown=SLOWDOWN, odd=[MISSED] * 6), "The interval finds a factor 1.1 in 94 of 100 trials"),
        (series(True, SLOWDOWN, odd=[MISSED] * 6), "The interval finds a factor 1.1 in 94 of 100 trials beside a busy"),
        (series(odd=[WIDE]), "An interval reaches 5.1% to each side on the machine as it was, expected at most 5%."),
        (series(True, odd=[WIDE]), "An interval reaches 5.1% to each side beside a busy process"),
        (series(number=99), "99 trials of a factor 1 on the machine as it was are too few, expected 100."),
        (series(True, SLOWDOWN, number=0), "0 trials of a factor 1.1 beside a busy process are too few"),
    ],
)
def test_every_promise_can_be_broken(changed, output):
    [found] = promises.broken(study(changed))
    assert found.startswith(output)


def test_a_timing_study_whose_busy_process_was_idle_breaks_a_promise():
    idle = msgspec.structs.replace(study(), loads={"as it was": [0.1, 0.5], "loaded": [0.5, 0.99]})
    [found] = promises.broken(idle)
    assert found == "The load average beside a busy process was 0.99 in the end, expected 1 or more: nothing was busy."


def test_width_is_promised_of_steps_over_a_millisecond_and_of_no_planted_slowdown():
    wide = msgspec.structs.replace(WIDE, low=0.9, high=1.2)
    assert list(promises.broken(study(series(odd=[wide], median_ns=0.9e6)))) == []
    found = msgspec.structs.replace(FOUND, low=1.01, high=1.3)
    assert list(promises.broken(study(series(slowdown=SLOWDOWN, odd=[found])))) == []


def test_it_is_said_in_a_sentence_and_in_rows():
    reported = study(series(odd=[NEIGHBOUR]), series(True, SLOWDOWN, odd=[MISSED] * 2))
    assert promises.sentence(reported) == (
        "Of a step measured against itself in another process, given at most 12 s, the interval of the ratio contains "
        "1 in 199 of 200 trials and reaches at most 3.8% to each side, and a planted slowdown of 10% is found in 198 "
        "of 200; half of them are beside a busy process, where the widest reaches 3.0%. Pytest-benchmark's comparison "
        "of plain means of up to as many rounds (mean:5%) raises 1 of 200 false alarms and finds it in 198 of 200."
    )
    rows = promises.table(reported)
    assert [(row["loaded"], row["slowdown"], row["held"], row["plain"]) for row in rows] == [
        (False, 1.0, 99, 1), (True, 1.0, 100, 0), (False, 1.1, 100, 100), (True, 1.1, 98, 98),
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in promises.lines(reported))


def test_a_study_is_read_as_it_was_written(tmp_path, monkeypatch):
    path = promises.write(study(), tmp_path)
    monkeypatch.setattr(published, "_PLACES", (tmp_path,))
    assert promises.of(published.load(published.TIMING_CALIBRATION)) == study()
    older = json.loads(path.read_text())
    del older["max_rounds"]
    path.write_text(json.dumps({**older, "busy_s": 1.5}))
    assert promises.of(published.load(published.TIMING_CALIBRATION)) == study()
    path.unlink()
    assert promises.of(published.load(published.TIMING_CALIBRATION)) is None


def test_a_study_that_is_cut_off_altered_or_newer_is_refused_by_name(tmp_path, monkeypatch):
    path = promises.write(study(), tmp_path)
    monkeypatch.setattr(published, "_PLACES", (tmp_path,))
    whole, data = path.read_text(), json.loads(path.read_text())
    cut = [whole[:end] for end in range(0, len(whole) - 3, 997)]
    altered = [
        {**data, "series": None},
        {**data, "schema": 2},
        {k: v for k, v in data.items() if k != "level"},
        [],
        None,
    ]
    for text in (*cut, *map(json.dumps, altered)):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"timing-calibration\.json.*[Mm]easure it again"):
            promises.of(published.load(published.TIMING_CALIBRATION))


def noisy(seed, by=1.0, load=None):
    """A way whose times scatter by a few percent; `load` says by what the machine slows each call."""
    draws = random.Random(seed)
    return lambda: round(4e6 * by * draws.lognormvariate(0, 0.05) * (load() if load else 1.0))


def test_trials_of_scattering_times_hold_and_find():
    same = [measuring.trial(noisy(n), noisy(n + 100), n)[0] for n in range(20)]
    slower = [measuring.trial(noisy(n), noisy(n + 100, SLOWDOWN), n)[0] for n in range(20)]
    assert Series("jax", "predict", 13, False, 1.0, 4e6, same).held >= 19
    assert Series("jax", "predict", 13, False, SLOWDOWN, 4e6, slower).held >= 19
    assert max(trial.half_width for trial in same) <= promises.HALF_WIDTH


def test_a_machine_that_drifts_fools_plain_means_and_not_the_trial():
    calls = itertools.count()

    def load():
        return 1 + next(calls) / 200

    found, median_ns = measuring.trial(noisy(1, load=load), noisy(2, load=load), 0)
    assert found.low <= 1 <= found.high
    assert found.means > promises.PLAIN_RATIO
    assert median_ns > 4e6


def spin(ns):
    began = time.perf_counter_ns()
    while time.perf_counter_ns() - began < ns:
        pass
    return time.perf_counter_ns() - began


def test_a_planted_slowdown_takes_the_time_that_it_says():
    def slower():
        began = time.perf_counter_ns()
        output = measuring.slowed(lambda: spin(2e6), SLOWDOWN)()
        return output, time.perf_counter_ns() - began

    found = [slower() for _ in range(20)]
    assert all(2.2e6 <= output <= took for output, took in found)
    assert min(output for output, _ in found) < 2.4e6
    method = noisy(0)
    assert measuring.slowed(method, 1.0) is method


def test_the_busy_process_is_busy_and_ends_whatever_happens():
    with suppress(ZeroDivisionError), measuring._busy() as process:
        spin(4e8)
        of_its_own = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        raise ZeroDivisionError
    assert int(of_its_own[11]) / os.sysconf("SC_CLK_TCK") > 0.02  # utime, see proc(5)
    assert process.returncode == 0


def test_a_try_does_not_take_the_place_of_the_study():
    done = samples.inside("study", "timing", "--trials=99", cwd=Path.cwd())
    assert done.returncode == 2
    assert "Give a folder for a try: --out DIR." in " ".join(done.stdout.split())


def test_a_study_of_real_processes(tiny_subject, monkeypatch):
    monkeypatch.setattr(measuring, "BUDGET_S", 0.2)
    monkeypatch.setattr(measuring, "PROCESSES", 2)
    monkeypatch.setattr(measuring, "BUSY", "import sys; sys.stdin.read()")  # while two processes import jax
    found = measuring.measure(tiny_subject, f"{tiny.__file__}:tiny", 1, [measuring.Step("jax", "train_step", 13)])
    assert [(s.step, s.loaded, s.slowdown, len(s.trials)) for s in found.series] == [
        ("train_step", loaded, by, 1) for loaded in (False, True) for by in (1.0, SLOWDOWN)
    ]
    assert all(s.median_ns > 0 and s.trials[0].rounds >= 8 and s.trials[0].means > 0 for s in found.series)
    assert found.max_rounds == measuring.MAX_ROUNDS
    assert set(found.loads) == {"as it was", "loaded"}
    assert sum("are too few" in line for line in promises.broken(found)) == 4
