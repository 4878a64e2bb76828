"""The study counts every alarm, takes its limit from the scores, and swaps states without mixing them up."""

import json
import math

import pytest

from parity.core.errors import NotComparableError, RecordError
from parity.records import PASS, false_alarms
from parity.runtimes._tensorflow import TensorFlowRuntime
from parity.scoring import rules
from parity.studies.false_alarms import measuring as study
from parity.tests.support import samples, tiny

CELL = "py311-jax0.9.2-tf2.21.0"


def row(**changes):
    known = {"case": "reference", "seed": 0, "runtime": "tf_graph", "probe": "predict", "batch_size": 13}
    known |= {"leaf": "output", "own_limit": False}
    return {**known, "status": PASS, "score": 1.0, **changes}


def power(**changes):
    known = {"case": "reference", "probe": "predict", "batch_size": 13, "weight": "a", "seed": 0, "limit": 64.0}
    return {**known, "smallest_relative_error": 1e-4, **changes}


def measured(checks, powers=()):
    versions = {"jax": "0.9.2", "tensorflow": "2.21.0"}
    parts = {"case": "reference", "left_out": None, "seeds": 2, "versions": versions, "remedy": None}
    return {**parts, "checks": checks, "powers": list(powers)}


def joined(checks, powers=None, limit=64.0):
    return false_alarms.join({CELL: [measured(checks, powers or [power()])]}, {"predict": limit})


@pytest.mark.parametrize(("highest", "limit"), [(44.2, 64.0), (51.2, 64.0), (51.3, 128.0), (15.1, 32.0), (0.5, 4.0)])
def test_the_limit_is_the_first_power_of_two_far_enough_above(highest, limit):
    assert false_alarms.limit_for(highest) == limit
    assert joined([row(score=highest), row(score=0.1)])["follow"] == {"predict": limit}


@pytest.mark.parametrize("alarm", [row(score=64.1), row(status="fail", score=None), row(status="missing", score=None)])
def test_every_alarm_is_counted_and_placed(alarm):
    found = joined([row(), alarm])
    assert found["checks"] == 2
    [placed] = found["false_alarms"]
    assert (placed["cell"], placed["leaf"]) == (CELL, "output")
    assert false_alarms.sentence(found).startswith("1 false alarms in 2 checks")


@pytest.mark.parametrize("score", [math.inf, math.nan])
def test_a_score_that_is_not_finite_is_an_alarm_and_moves_no_limit(score):
    found = joined([row(score=30.0), row(score=score, status="fail")])
    assert len(found["false_alarms"]) == 1
    assert found["follow"] == {"predict": 64.0}


def test_no_score_at_all_is_not_comparable():
    with pytest.raises(NotComparableError, match="no limit follows"):
        joined([row(score=0.0), row(score=None)])


def test_what_a_limit_of_half_the_trainings_would_have_missed_is_told():
    checks = [row(seed=0, score=40.0), row(seed=1, score=66.9), row(seed=3, score=9.0), row(seed=3, score=8.0)]
    assert joined(checks)["held_out"] == {"limits": {"predict": 64.0}, "trainings": 2, "alarmed": 1}


def test_a_case_that_the_limits_of_all_others_do_not_hold_is_told():
    checks = [row(score=3.0), row(case="images", score=20.0), row(case="counts", score=2.0)]
    expected = {"case": "images", "probe": "predict", "highest": 20.0, "limit": 4.0}
    assert joined(checks)["cases_left_out"] == [expected]


def test_a_case_with_a_limit_of_its_own_is_held_to_that_alone():
    passed, failed = row(case="half", own_limit=True, score=200.0), row(case="half", own_limit=True, status="fail")
    found = joined([row(score=30.0), passed, failed])
    assert [alarm["status"] for alarm in found["false_alarms"]] == ["fail"]
    assert found["follow"] == {"predict": 64.0}


def test_an_accuracy_that_passes_is_no_alarm_and_has_no_limit():
    found = joined([row(score=30.0), row(probe="accuracy", score=0.5)])
    assert not found["false_alarms"]
    assert found["follow"] == {"predict": 64.0}


def test_a_pair_without_a_score_is_named():
    left_out = {**measured([]), "left_out": "no such library", "seeds": 0}
    with pytest.raises(NotComparableError, match=r"jax0\.7"):
        false_alarms.join(
            {CELL: [measured([row()], [power()])], "py311-jax0.7.2-tf2.20.0": [left_out]}, {"predict": 4.0}
        )


def test_the_rate_of_alarms_has_an_upper_end_where_there_was_none():
    assert joined([row() for _ in range(300)])["rate_at_most"] == pytest.approx(0.01, rel=0.02)
    assert joined([row(), row(status="fail")])["rate_at_most"] is None


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
    (tmp_path / CELL).mkdir()
    (tmp_path / CELL / "x.json").write_text(text)
    with pytest.raises(RecordError, match=r"x\.json"):
        false_alarms.read(tmp_path)


def test_no_study_is_not_comparable(tmp_path):
    with pytest.raises(NotComparableError, match="tox"):
        false_alarms.read(tmp_path)


def test_the_command_fails_on_an_alarm_and_where_another_limit_follows(tmp_path):
    def outcome(*checks, pairs=8, trainings=20):
        for number in range(8):
            path = tmp_path / "study" / f"py311-jax0.9.{number}-tf2.21.0" / "reference.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if number < pairs:
                study = {**measured(list(checks), [power()]), "seeds": trainings}
                path.write_text(json.dumps(study))
        folders = tmp_path / "study", "--out", tmp_path / "out"
        return samples.python("-m", "parity", "study", "false-alarms", "join", *folders)

    high = [row(probe=probe, score=limit / false_alarms.MARGIN) for probe, limit in rules.LIMITS.items()]
    assert outcome(*high).returncode == 0
    assert outcome(*high, row(status="fail", score=None)).returncode == 1
    assert outcome(*high, pairs=7).returncode == 1
    assert outcome(*high, trainings=19).returncode == 1
    for probe in [probe for probe, limit in rules.LIMITS.items() if limit > false_alarms.LEAST_LIMIT]:
        low = [{**found, "score": found["score"] / 2} if found["probe"] == probe else found for found in high]
        done = outcome(*low)
        assert done.returncode == 1
        assert "The limits that follow are" in done.stdout
        written = json.loads((tmp_path / "out" / "false-alarms.json").read_text())
        assert written["limits"] == rules.LIMITS
        assert written["follow"] == {**rules.LIMITS, probe: rules.LIMITS[probe] / 2}


def highest(subject):
    return max(row["score"] for row in study.scores(subject, (13,), 0))


def test_every_training_is_another_and_a_state_that_was_not_exchanged_is_an_alarm(frameworks, monkeypatch):
    monkeypatch.setattr(study, "RUNTIMES", ("jax", "tf_graph"))
    trainings = study.Study(tiny.tiny, (13,))
    first, second = (trainings.subject(seed) for seed in (0, 1))
    assert not (first.trained.state.params["output"] == second.trained.state.params["output"]).all()
    assert not (first.batch(13).data == second.batch(13).data).all()
    assert highest(second) < rules.LIMIT
    jax, oracle = (second.kept(name, "predict", 13)["predict"]["output"] for name in ("jax", "jax_float64"))
    budget = second.budgets("predict", 13)["predict"]["output"]
    assert budget.max < 10 * abs(jax - oracle).max()  # of its own state, not of the first training's
    monkeypatch.setattr(TensorFlowRuntime, "compute_at", lambda self, values, *rest: self.compute(*rest))
    assert highest(trainings.subject(2)) > rules.LIMIT
    first.close()
