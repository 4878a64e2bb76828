"""The study counts every alarm, takes its limit from the scores, and swaps states without mixing them up."""

import json
import math

import pytest

from parity import false_alarms, judging, study
from parity.errors import NotComparableError, RecordError
from parity.records import PASS
from parity.tests import samples, tiny

CELL = "py311-jax0.9.2-tf2.21.0"


def row(**changes):
    known = {"seed": 0, "runtime": "tf_graph", "probe": "predict", "batch_size": 13, "leaf": "output"}
    return {**known, "status": PASS, "score": 1.0, **changes}


def power(**changes):
    known = {"case": "reference", "probe": "predict", "batch_size": 13, "weight": "a", "seed": 0, "limit": 64.0}
    return {**known, "smallest_relative_error": 1e-4, **changes}


def measured(checks, powers=()):
    versions = {"jax": "0.9.2", "tensorflow": "2.21.0"}
    return {"seeds": 2, "versions": versions, "remedy": None, "checks": checks, "powers": list(powers)}


def joined(checks, powers=None, limit=64.0):
    return false_alarms.join({CELL: measured(checks, powers or [power()])}, limit)


@pytest.mark.parametrize(("highest", "limit"), [(44.2, 64.0), (51.2, 64.0), (51.3, 128.0), (15.1, 32.0), (0.5, 1.0)])
def test_the_limit_is_the_first_power_of_two_far_enough_above(highest, limit):
    assert false_alarms.limit_for(highest) == limit
    assert joined([row(score=highest), row(score=0.1)])["follows"] == limit


@pytest.mark.parametrize("alarm", [row(score=64.1), row(status="fail", score=None), row(status="missing", score=None)])
def test_every_alarm_is_counted_and_placed(alarm):
    found = joined([row(), alarm])
    assert found["checks"] == 2
    [placed] = found["false_alarms"]
    assert (placed["cell"], placed["leaf"]) == (CELL, "output")
    assert false_alarms.sentence(found).startswith("1 false alarms in 2 checks")


def test_a_score_of_infinity_follows_from_no_limit(tmp_path):
    with pytest.raises(RecordError, match="finite"):
        joined([row(score=math.inf, status="fail")])


def test_no_score_is_lost_between_the_bins():
    scores = [0.0, 1e-9, 0.3, 0.95, 1.1, 5.0, 5.0, 44.2]
    bins = joined([row(score=s) for s in scores])["histogram"]
    assert sum(b["checks"] for b in bins) == len(scores)
    for b in bins:
        below = b["up_to"] / math.sqrt(2) * 0.99 if b["up_to"] else -1.0
        assert b["checks"] == sum(below < s <= b["up_to"] * 1.01 for s in scores), b


def test_the_power_of_a_probe_is_its_worst_over_trainings_and_follows_the_limit():
    powers = [power(), power(seed=1, smallest_relative_error=3e-4), power(weight="b", smallest_relative_error=0.5)]
    [found] = joined([row()], powers, limit=128.0)["power"]
    assert found["best_seen"] == "a"
    assert found["in_best_seen"] == pytest.approx(6e-4)
    assert found["in_every_tensor"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text", ['{"checks": [', "[]", '{"checks": [], "powers": []}', '{"checks": [1], "powers": []}']
)
def test_a_file_that_is_no_study_is_refused_by_name(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RecordError, match=r"x\.json"):
        false_alarms.read(tmp_path)


def test_no_study_is_not_comparable(tmp_path):
    with pytest.raises(NotComparableError, match="tox"):
        false_alarms.read(tmp_path)


def test_the_command_fails_on_an_alarm_and_where_another_limit_follows(tmp_path):
    def outcome(*checks):
        (tmp_path / f"{CELL}.json").write_text(json.dumps(measured(list(checks), [power()])))
        return samples.python("-m", "parity", "false-alarms", tmp_path, "--out", tmp_path / "out")

    high = judging.LIMIT / false_alarms.MARGIN
    assert outcome(row(score=high)).returncode == 0
    assert outcome(row(score=high), row(status="fail", score=None)).returncode == 1
    done = outcome(row(score=high / 4))
    assert done.returncode == 1
    assert "The limit that follows is" in done.stdout
    written = json.loads((tmp_path / "out" / "false-alarms.json").read_text())
    assert written["limit"] == judging.LIMIT


def highest(harness):
    return max(row["score"] for row in study.scores(harness, 0))


def test_every_training_is_another_and_a_state_that_was_not_exchanged_is_an_alarm(frameworks, monkeypatch):
    monkeypatch.setattr(study, "SIZES", (13,))
    monkeypatch.setattr(study, "ASKED", ("jax", "tf_graph"))
    trainings = study.Study(tiny.tiny)
    first, second = (trainings.harness(seed) for seed in (0, 1))
    assert not (first.trained.state.params["output"] == second.trained.state.params["output"]).all()
    assert not (first.batch(13).data == second.batch(13).data).all()
    assert highest(second) < judging.LIMIT
    monkeypatch.setattr("parity.runtimes._tensorflow.TensorFlowRuntime.put", lambda *_: None)
    assert highest(trainings.harness(2)) > judging.LIMIT
    first.close()
